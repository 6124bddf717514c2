package pvesim

// accessRoutes are the endpoints of users, groups, tokens, roles and ACLs.
func accessRoutes() routes {
	return routes{
		"GET /access":                                   {serve: index("subdir")},
		"GET /access/acl":                               {serve: listACL},
		"PUT /access/acl":                               {serve: putACL},
		"GET /access/groups":                            {serve: listUserGroups},
		"POST /access/groups":                           {serve: createUserGroup},
		"GET /access/groups/{groupid}":                  {serve: getUserGroup},
		"PUT /access/groups/{groupid}":                  {serve: putUserGroup},
		"DELETE /access/groups/{groupid}":               {serve: deleteGroup},
		"PUT /access/password":                          {serve: putPassword},
		"GET /access/ticket":                            {serve: getTicket},
		"POST /access/ticket":                           {serve: createTicket},
		"GET /access/permissions":                       {serve: getPermissions},
		"GET /access/roles":                             {serve: listRoles},
		"POST /access/roles":                            {serve: createRole},
		"GET /access/roles/{roleid}":                    {serve: getRole},
		"PUT /access/roles/{roleid}":                    {serve: putRole},
		"DELETE /access/roles/{roleid}":                 {serve: deleteRole},
		"GET /access/users":                             {serve: listUsers},
		"POST /access/users":                            {serve: createUser},
		"GET /access/users/{userid}":                    {serve: getUser},
		"PUT /access/users/{userid}":                    {serve: putUser},
		"DELETE /access/users/{userid}":                 {serve: deleteUser},
		"GET /access/users/{userid}/token":              {serve: listTokens},
		"GET /access/users/{userid}/token/{tokenid}":    {serve: getToken},
		"POST /access/users/{userid}/token/{tokenid}":   {serve: createToken},
		"PUT /access/users/{userid}/token/{tokenid}":    {serve: putToken},
		"DELETE /access/users/{userid}/token/{tokenid}": {serve: deleteToken},
	}
}
