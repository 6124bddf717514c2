package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Scenario is a way in which clusters go wrong, as people meet it. It has a name, by which
// pve-mcp sim --scenario takes it.
type Scenario struct {
	Name string
	Is   string // what has gone wrong
	Acts string // what a client then sees

	change func(*Model) error
}

// Apply makes a model go wrong in this way. It fails if the model has nothing that could.
func (s Scenario) Apply(m *Model) error {
	if err := s.change(m); err != nil {
		return fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return nil
}

// htmlOf is a page of an error as nginx writes it.
func htmlOf(title string) string {
	return "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title + "</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
}

// Scenarios are all that have a name, sorted by it.
func Scenarios() []Scenario {
	return []Scenario{
		{
			Name: "clock-skew", Is: "the clock of the last node is seven minutes ahead",
			Acts:   "The node's time, and the times of its tasks and answers, are seven minutes later than those of the others.",
			change: func(m *Model) error { m.Nodes[len(m.Nodes)-1].ClockAhead = 7 * time.Minute; return nil },
		}, {
			Name: "cut-after-60s", Is: "a reverse proxy gives up after 60 s, and PVE needs longer",
			Acts: "Uploads, and changes of a guest's configuration and of the size of its disks, are made, and answered after 60 s with 504 and a page in HTML.",
			change: func(m *Model) error {
				for _, match := range []string{
					"PUT /nodes/*/qemu/*/config", "PUT /nodes/*/lxc/*/config", "PUT /nodes/*/qemu/*/resize", "PUT /nodes/*/lxc/*/resize", "POST /nodes/*/storage/*/upload",
				} {
					m.Faults = append(m.Faults, Fault{Match: match, Slow: time.Minute, Proxy: true, Done: true, Status: 504, Message: htmlOf("504 Gateway Time-out")})
				}
				return nil
			},
		}, {
			Name: "flapping-node", Is: "the last node loses its network for 30 s every two minutes",
			Acts: "Requests for the node answer 595 while it is away. Its guests run on.",
			change: func(m *Model) error {
				if len(m.Nodes) < 2 {
					return fmt.Errorf("the model needs a second node")
				}
				m.Faults = append(m.Faults, Fault{Node: m.Nodes[len(m.Nodes)-1].Name, Down: true, Delay: 30 * time.Second, For: 30 * time.Second, Every: 2 * time.Minute})
				return nil
			},
		}, {
			Name: "full-disk", Is: "the root file system of the first node and all storages of files are full",
			Acts: "Storages have no room. Downloads, uploads and backups fail with No space left on device.",
			change: func(m *Model) error {
				m.Nodes[0].RootUsed = m.Nodes[0].Disk
				for i := range m.Storages {
					if st := &m.Storages[i]; storageTypes[st.Type].files {
						st.Used, st.UsedOn = st.Size, maps.Clone(st.SizeOn)
					}
				}
				return nil
			},
		}, {
			Name: "html-proxy", Is: "a proxy in front of PVE answers every third request or so with a page of its own",
			Acts: "Requests answer 502 and HTML in the place of JSON. PVE has not seen them.",
			change: func(m *Model) error {
				m.Faults = append(m.Faults, Fault{Prob: 0.35, Proxy: true, Status: 502, Message: htmlOf("502 Bad Gateway")})
				return nil
			},
		}, {
			Name: "new-certificate", Is: "the certificate of the first node is replaced after 30 s",
			Acts:   "New connections get a certificate of another CA. A client that has pinned the old one cannot trust it.",
			change: func(m *Model) error { m.Nodes[0].NewCertificateAfter = 30 * time.Second; return nil },
		}, {
			Name: "slow-nfs", Is: "the server of an NFS storage hardly answers",
			Acts: "A node's list of storages takes 12 s. What reads or writes the storage takes longer than PVE waits, which answers 596.",
			change: func(m *Model) error {
				i := slices.IndexFunc(m.Storages, func(st Storage) bool { return st.Type == "nfs" && !st.Disabled })
				if i < 0 {
					return fmt.Errorf("the model needs a storage of the type nfs")
				}
				m.Faults = append(m.Faults, Fault{Match: "* /nodes/*/storage/" + m.Storages[i].ID + "/**", Slow: 40 * time.Second},
					Fault{Match: "GET /nodes/*/storage", Slow: 12 * time.Second})
				return nil
			},
		},
	}
}
