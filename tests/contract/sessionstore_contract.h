/* sessionstore_contract.h - the cases every store has to pass, and those of
 * one store alone. */
#ifndef SESSIONSTORE_CONTRACT_H
#define SESSIONSTORE_CONTRACT_H

#include "test.h"

extern CU_TestInfo sessionstore_contract[];
extern CU_TestInfo sessionstore_memory_only[];
extern CU_TestInfo sessionstore_file_format[];
extern CU_TestInfo sessionstore_file_faults[];
extern CU_TestInfo sessionstore_file_syscalls[];

#endif
