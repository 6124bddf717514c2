package pvesim

// clusterRoutes are the endpoints of the cluster as a whole.
func clusterRoutes() routes {
	return routes{
		"GET /cluster":                       {serve: index("name")},
		"GET /cluster/firewall":              {serve: index("name")},
		"GET /cluster/firewall/options":      {serve: getFirewallOptions},
		"GET /cluster/jobs":                  {serve: index("subdir")},
		"GET /cluster/jobs/schedule-analyze": {serve: analyzeSchedule},
		"GET /cluster/log":                   {serve: getClusterLog},
		"GET /cluster/metrics":               {serve: index("name")},
		"GET /cluster/metrics/server":        {serve: listNothing},
		"GET /cluster/nextid":                {serve: getNextID},
		"GET /cluster/options":               {serve: getOptions},
		"GET /cluster/resources":             {serve: getResources},
		"GET /cluster/sdn/zones":             {serve: listNothing},
		"GET /cluster/status":                {serve: getClusterStatus},
		"GET /version":                       {serve: getVersion},
	}
}
