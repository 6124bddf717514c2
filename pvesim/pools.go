package pvesim

// poolNamed returns a pool, or nil.
func (s *state) poolNamed(id string) *Pool {
	for i := range s.pools {
		if s.pools[i].ID == id {
			return &s.pools[i]
		}
	}
	return nil
}
