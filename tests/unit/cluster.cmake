wwr_test(cluster_envelope SOURCES unit/cluster_envelope_test.c
         DEPS wwr_cluster)
wwr_test(cluster_seen SOURCES unit/cluster_seen_test.c DEPS wwr_cluster)
wwr_test(cluster_channel SOURCES unit/cluster_channel_test.c DEPS wwr_cluster)
wwr_test(cluster_local SOURCES unit/cluster_local_test.c DEPS wwr_cluster)
wwr_test(cluster_publisher SOURCES unit/cluster_publisher_test.c DEPS wwr_cluster)
wwr_test(cluster_node SOURCES unit/cluster_node_test.c DEPS wwr_cluster)
wwr_test(cluster_partition SOURCES unit/cluster_partition_test.c
         DEPS wwr_cluster)
wwr_test(cluster_ahead SOURCES unit/cluster_ahead_test.c DEPS wwr_cluster)
if(TARGET wwr_cluster_replies)
  wwr_test(cluster_replies SOURCES unit/cluster_replies_test.c
           DEPS wwr_cluster_replies wwr_cluster wwr_redis wwr_core)
  wwr_test(cluster_servers SOURCES unit/cluster_servers_test.c
           DEPS wwr_cluster_redis wwr_cluster wwr_redis wwr_core)
endif()
