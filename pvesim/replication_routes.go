package pvesim

// replicationRoutes are the endpoints of replication.
func replicationRoutes() routes {
	return routes{
		"GET /cluster/replication":                         {serve: listReplications},
		"POST /cluster/replication":                        {serve: createReplication, check: checkReplication},
		"GET /cluster/replication/{id}":                    {serve: getReplication},
		"PUT /cluster/replication/{id}":                    {serve: putReplication, check: checkReplication},
		"DELETE /cluster/replication/{id}":                 {serve: deleteReplication, check: checkReplication},
		"GET /nodes/{node}/replication":                    {serve: listReplicationStatus},
		"GET /nodes/{node}/replication/{id}":               {serve: index("name")},
		"GET /nodes/{node}/replication/{id}/log":           {serve: getReplicationLog},
		"POST /nodes/{node}/replication/{id}/schedule_now": {serve: scheduleReplication, check: checkReplication},
		"GET /nodes/{node}/replication/{id}/status":        {serve: getReplicationStatus},
	}
}
