package apischema

// With returns the API with other endpoints, such as those that a node shows, and the same
// formats and indexed parameters.
func (a *API) With(endpoints []*Endpoint) *API {
	return New(&Facts{Major: a.facts.Major, Endpoints: endpoints, Formats: a.facts.Formats, Highest: a.facts.Highest})
}
