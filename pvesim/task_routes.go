package pvesim

// taskRoutes are the endpoints of tasks.
func taskRoutes() routes {
	return routes{
		"GET /cluster/tasks":                    {serve: getClusterTasks},
		"GET /nodes/{node}/tasks":               {serve: getNodeTasks},
		"GET /nodes/{node}/tasks/{upid}":        {serve: index("name")},
		"DELETE /nodes/{node}/tasks/{upid}":     {serve: deleteTask, check: checkDeleteTask},
		"GET /nodes/{node}/tasks/{upid}/log":    {serve: getTaskLog},
		"GET /nodes/{node}/tasks/{upid}/status": {serve: getTaskStatus},
	}
}
