package pvesim_test

import "testing"

// A node orders a certificate for its domains, renews it when it ends, and gives it back.
func TestCertificateOrders(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		w := newWorld(t, clusterOf(version))
		w.login("root@pam", "simulated")
		const path = " /nodes/pve1/certificates/acme/certificate"
		w.story(`
			POST` + path + `                                                => 500 ACME domain list in node configuration is missing!
			PUT /nodes/pve1/config?acme=domains=pve1.example.org             => null
			POST` + path + `                                                => ACME account config file 'default' does not exist.
			PUT` + path + `                                                 => 500 No current (custom) certificate found, please order a new certificate!
			POST /cluster/acme/account?contact=a@example.org                 => OK
			POST` + path + `                                                => OK
			GET /nodes/pve1/certificates/info#pveproxy-ssl.pem#subject       => /CN=pve1.example.org
			GET /nodes/pve1/certificates/info#pveproxy-ssl.pem#issuer        => /CN=R11
			POST` + path + `                                                => 400 Parameter verification failed. force: Custom certificate exists but 'force' is not set.
			POST` + path + `?force=1                                        => OK
			PUT` + path + `                                                 => 400 Parameter verification failed. force: Certificate does not expire within the next 30 days, and 'force' is not set.
			PUT` + path + `?force=1                                         => OK
			wait 1464h
		`)
		w.login("root@pam", "simulated") // the ticket has expired
		w.story(`
			PUT` + path + `                                                 => OK
			DELETE` + path + `                                              => OK
			DELETE` + path + `                                              => 500 can't open '/etc/pve/nodes/pve1/pveproxy-ssl.pem' - No such file or directory
			GET /nodes/pve1/certificates/info#pveproxy-ssl.pem#subject       => null
			GET /cluster/acme/challenge-schema#dns#id                        => acmedns
		`)
	}
}
