package pvesim

// clusterRoutes are the endpoints of the cluster as a whole.
func clusterRoutes() routes {
	return routes{
		"GET /cluster":                         {serve: index("name")},
		"GET /cluster/config/nodes":            {serve: getMembers},
		"GET /cluster/config/qdevice":          {serve: getQDevice},
		"GET /cluster/jobs":                    {serve: index("subdir")},
		"GET /cluster/jobs/schedule-analyze":   {serve: analyzeSchedule},
		"GET /cluster/log":                     {serve: getClusterLog},
		"GET /cluster/metrics":                 {serve: index("name")},
		"GET /cluster/metrics/export":          {serve: exportMetrics},
		"GET /cluster/nextid":                  {serve: getNextID},
		"GET /cluster/resources":               {serve: getResources},
		"GET /cluster/sdn/ipams/{ipam}/status": {serve: listLeases},
		"GET /cluster/status":                  {serve: getClusterStatus},
		"GET /version":                         {serve: getVersion},
	}
}
