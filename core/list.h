/* list.h - intrusive doubly linked list; a head is a node that links to itself.
 */
#ifndef WWRI_LIST_H
#define WWRI_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct wwri_list {
  struct wwri_list *next;
  struct wwri_list *prev;
};

/** The struct of `type` whose member `member` is the node `node`. */
#define WWRI_CONTAINER(node, type, member) \
  ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void wwri_list_init(struct wwri_list *head) {
  head->next = head->prev = head;
}

static inline bool wwri_list_empty(const struct wwri_list *head) {
  return head->next == head;
}

static inline void wwri_list_append(struct wwri_list *head,
                                    struct wwri_list *node) {
  node->prev = head->prev;
  node->next = head;
  head->prev->next = node;
  head->prev = node;
}

/** Unlink; the node then links to itself, so removing it twice is harmless. */
static inline void wwri_list_remove(struct wwri_list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  wwri_list_init(node);
}

/** Unlink and return the first node, or NULL. */
static inline struct wwri_list *wwri_list_pop(struct wwri_list *head) {
  struct wwri_list *node = head->next;
  if (node == head) return NULL;
  wwri_list_remove(node);
  return node;
}

/** Move all of `from` behind the nodes of `to`; `from` is empty afterwards. */
static inline void wwri_list_splice(struct wwri_list *to,
                                    struct wwri_list *from) {
  if (wwri_list_empty(from)) return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  wwri_list_init(from);
}

#endif
