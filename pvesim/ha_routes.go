package pvesim

// haRoutes are the endpoints of the HA manager.
func haRoutes() routes {
	return routes{
		"GET /cluster/ha":                           {serve: index("id")},
		"GET /cluster/ha/groups":                    {serve: onGroups("index", listSections)},
		"POST /cluster/ha/groups":                   {serve: onGroups("create", createGroup)},
		"GET /cluster/ha/groups/{group}":            {serve: onGroups("read", getSection)},
		"PUT /cluster/ha/groups/{group}":            {serve: onGroups("update", putGroup)},
		"DELETE /cluster/ha/groups/{group}":         {serve: onGroups("delete", deleteHAGroup)},
		"GET /cluster/ha/resources":                 {serve: listResources},
		"POST /cluster/ha/resources":                {serve: createResource},
		"GET /cluster/ha/resources/{sid}":           {serve: getResource},
		"PUT /cluster/ha/resources/{sid}":           {serve: putResource},
		"DELETE /cluster/ha/resources/{sid}":        {serve: onResource(deleteResource)},
		"POST /cluster/ha/resources/{sid}/migrate":  {serve: onResource(askResourceMove(false))},
		"POST /cluster/ha/resources/{sid}/relocate": {serve: onResource(askResourceMove(true))},
		"GET /cluster/ha/rules":                     {serve: onRules(listSections)},
		"POST /cluster/ha/rules":                    {serve: onRules(createRule)},
		"GET /cluster/ha/rules/{rule}":              {serve: onRules(getSection)},
		"PUT /cluster/ha/rules/{rule}":              {serve: onRules(putRule)},
		"DELETE /cluster/ha/rules/{rule}":           {serve: onRules(deleteRule)},
		"GET /cluster/ha/status":                    {serve: index("name")},
		"POST /cluster/ha/status/arm-ha":            {serve: armHA},
		"POST /cluster/ha/status/disarm-ha":         {serve: disarmHA},
		"GET /cluster/ha/status/current":            {serve: getHAStatus},
		"GET /cluster/ha/status/manager_status":     {serve: getManagerStatus},
	}
}
