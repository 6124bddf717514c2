package api

import (
	"slices"
	"strings"
	"sync"
	"unicode"
)

// noise are words that say nothing about what is wanted.
var noise = strings.Fields(`a an and any are as at be been by can could did do does doesn don for from get give had has have how i if in into is isn it its
	let like me my need of on one or our out please right s should show so some t tell than that the their them there these they this those to up us
	want was way we were what when where whether which while who whose why will with would you your proxmox pve now here just really via using use used
	currently still about also while instead whether until before after during already again ok only very much without must
	won isn wasn doesn didn needs know possible want wants trying able something anything some someone`)

// generic are verbs and the like that say what to do, whatever the object.
var generic = strings.Fields(`create add make new delete remove destroy drop change set edit modify list show display view enable disable turn configure
	vm vms guest guests container containers ct lxc node nodes host hosts server cluster datacenter machine machines
	type status settings setting all every everything each check find look use give put take stop start old define current other own several many`)

// common are stems in what many endpoints are for.
var common = strings.Fields("guest vm node datacenter container")

// wordsOf are the words of a text, in small letters.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// termsOf are the stems of the words of a text.
func termsOf(text string) []string {
	var out []string
	for _, word := range wordsOf(text) {
		if !slices.Contains(noise, word) {
			out = append(out, stem(word))
		}
	}
	return out
}

// stem takes the common endings off an English word.
func stem(word string) string {
	if len(word) <= 3 {
		return word
	}
	for _, end := range []struct{ old, new string }{
		{"sses", "ss"}, {"ies", "y"}, {"xes", "x"}, {"ches", "ch"}, {"shes", "sh"},
	} {
		if strings.HasSuffix(word, end.old) && len(word) > len(end.old)+2 {
			word = strings.TrimSuffix(word, end.old) + end.new
			return word
		}
	}
	isSingular := strings.HasSuffix(word, "us") && len(word) > 4 // status, but cpus
	if strings.HasSuffix(word, "s") && !strings.HasSuffix(word, "ss") && !isSingular && !strings.HasSuffix(word, "is") {
		word = strings.TrimSuffix(word, "s")
	}
	for _, end := range []string{"ing", "ed"} {
		root := strings.TrimSuffix(word, end)
		if root == word || len(root) < 3 || !strings.ContainsAny(root, "aeiouy") {
			continue
		}
		if n := len(root); root[n-1] == root[n-2] && !strings.ContainsAny(root[n-1:], "lsz") {
			root = root[:n-1]
		}
		word = root
		break
	}
	if strings.HasSuffix(word, "e") && len(word) > 4 {
		word = strings.TrimSuffix(word, "e")
	}
	return word
}

// verbsOf are words for things to be done, by the method that they sound like.
var verbsOf = map[string]string{
	"POST": `create add make new setup set generate build define register order start run take clone copy download pull upload send open get
		post migrate move convert restart reboot back evacuate restore roll go test trim reset wake refresh connect mount attach map issue
		shutdown shut schedule replicate install import export suspend hibernate pause resume stop boot launch block allow ban share keep prefer
		pin drain reserve mark scrub join pass evict mail hook route forward rotate clear hibernate save email notify pull evacuate failover spread separate put give sync deploy spin provision grab fetch back`,
	"PUT": `change set edit modify update enable disable turn switch rename resize grow extend increase enlarge expand assign allow forbid apply
		protect unprotect lock unlock renew wipe press regenerate adjust raise lower limit put grant give activate deactivate tag increase
		exclude include reorder let bind extend decrease point rename demote promote correct fix replace reassign add remove configure rewrite write slow speed throttle mute bump reduce attach detach unplug take move`,
	"DELETE": `offboard delete remove drop destroy revoke cancel unregister erase prune clean discard throw purge kill abort rid uninstall forget revert
		stop take undo free disconnect unmap leave`,
}

// methodsOf is how much a question sounds like each method.
func methodsOf(question string) map[string]float64 {
	words := wordsOf(question)
	if asks(words) || !wishes(words) && slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains([]string{"which", "what", "who", "whose", "why"}, w)
	}) {
		return map[string]float64{"GET": 1.3, "POST": 0.85, "PUT": 0.85, "DELETE": 0.75}
	}
	out := map[string]float64{"GET": 1, "POST": 1, "PUT": 0.97, "DELETE": 0.75}
	strength := 1.3
	for _, word := range words {
		found := false
		for method, verbs := range verbsOf {
			if slices.Contains(strings.Fields(verbs), word) {
				out[method] = max(out[method], strength)
				found = true
			}
		}
		if found { // the first verb says what is to be done
			strength, out["GET"] = 1.1, 0.85
		}
	}
	if strength == 1.3 { // a thing alone is one to look at
		out["GET"] = 1.1
	}
	return out
}

// asks reports whether a text asks for information. "How do I" and "can I add" are wishes for a
// change.
func asks(words []string) bool {
	if len(words) == 0 {
		return false
	}
	second := ""
	if len(words) > 1 {
		second = words[1]
	}
	wishes := []string{"i", "we", "you"}
	switch words[0] {
	case "how":
		return !slices.Contains([]string{"do", "to", "can", "would", "should"}, second)
	case "can", "could", "may", "should", "would", "will":
		return !slices.Contains(wishes, second) || len(words) > 2 && slices.Contains([]string{"see", "find", "tell", "show", "list", "check"}, words[2])
	case "what", "which", "who", "when", "where", "why", "whose", "is", "are", "was", "were", "does", "did", "do", "has", "have", "any",
		"list", "show", "see", "view", "find", "check", "look", "display", "print", "status", "state", "log", "history", "get":
		return true
	}
	return false
}

// wishes reports whether a question begins with something to be done.
func wishes(words []string) bool {
	return len(words) > 0 && slices.ContainsFunc([]string{"POST", "PUT", "DELETE"}, func(method string) bool {
		return slices.Contains(strings.Fields(verbsOf[method]), words[0])
	})
}

// synonyms are groups of words that people use for each other.
const synonyms = `
vm qemu machine guest
container ct lxc guest
guest vm container
disk drive volume hdd ssd
ip address
certificate cert tls ssl https
letsencrypt acme
user account person
password passwd
delete remove destroy
storage datastore
backup vzdump
nic interface network card
ram memory
cpu core processor
network bridge
migrate move
node host server hypervisor
user login
iso image
gpu graphics vgpu
firewall rule
mail email smtp
notification alert alarm notify message
permission right privilege
role permission
token apikey
task job
log syslog journal
pool group
reboot restart
all every everything each
start boot
shutdown poweroff
schedule job
update upgrade package
repository repo
clock time
dns nameserver
ha highly availability failover
replication replicate replica sync
snapshot checkpoint
rollback revert
resize grow enlarge
clone copy duplicate
template image
realm ldap
tfa 2fa mfa
license subscription
usb dongle
usage use full
health healthy
configuration config definition
vlan tag vnet
console screen vnc
metric statistic graph
cloudinit cloud
pause suspend hibernate
expire expiry
failed fail error
mapping map passthrough passthru
erase wipe
expand resize enlarge grow
throughput traffic bandwidth
bwlimit bandwidth
blacklist blocklist ipset ban
whitelist allowlist ipset
nat snat
lease dhcp ipam
lacp bond teaming
jumbo mtu
nas nfs cifs
smb cifs samba
san iscsi lun
raid mirror zfs
nvme ssd disk
oidc openid sso keycloak
totp tfa otp yubikey
apikey key token
admin administrator
ldap directory
ntp chrony time
resolver dns
nightly schedule daily
retention prune keep
cleanup prune clean
cdrom iso cd dvd
ova ovf vmdk vmware esxi import
docker oci registry
terminal shell console
graph history chart
trend forecast history
gmail smtp
slack webhook discord team telegram
influx influxdb
prometheus export
sriov pci vf
nvidia gpu
folder directory
stuck hung frozen unresponsive
kill stop
cancel abort
drain evacuate empty
fence fencing watchdog
vote quorum
witness qdevice
leader master
inventory overview
quarantine isolate
port traffic
hostname name
consumption use usage
spoofing ipfilter
undo revert rollback
gui web interface
sensor temperature
smart health
broken failed error
slow performance load throttle
peer neighbor
zpool zfs
privilege permission
deny block drop
reject block
unused free
offboard delete
evpn bgp
copies backup
archive backup
dump backup
image volume
downtime live
mount directory
notes description comment
label tag
colour color
lxd lxc
k8s container
appliance template
`

// alike are the stems of words that are used for one of a stem.
var alike = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(synonyms) {
		words := strings.Fields(line)
		for _, a := range words {
			for _, b := range words {
				if a != b {
					out[stem(a)] = append(out[stem(a)], stem(b))
				}
			}
		}
	}
	return out
})
