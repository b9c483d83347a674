// Package storage gives the appliance's data its place: what must last below /data, what can be made again below
// /volatile, and links from where the application looks for it.
package storage

import (
	"io/fs"
	"strings"
)

// App is the numeric user that applications run as, in containers and on the host, where the environment names no other.
const App = 1000

// Owner is whose a directory is: root's, or the application's, whose number the environment may set.
type Owner bool

// The owners there are.
const (
	Root Owner = false
	Apps Owner = true
)

// Place is a line of the layout: a directory, and the link that leads to it from where it is looked for.
type Place struct {
	Path  string
	Link  string // "" has none
	Perm  fs.FileMode
	Owner Owner
	For   string // who needs it, and for what
	// Units are the host's services that use what is at Link. A place with units is only made by moving what is there: the
	// service makes it, with owners of its own.
	Units []string
}

// Volume is the file system that the place belongs on: "data" must last, "volatile" can be made again; "" is any.
func (p Place) Volume() string {
	for _, v := range Volumes {
		if p.Path == v.Path || strings.HasPrefix(p.Path, v.Path+"/") {
			return v.Name
		}
	}
	return ""
}

// Moved says whether the place is filled by moving what a service of the host keeps elsewhere.
func (p Place) Moved() bool { return len(p.Units) > 0 }

var engine = []string{"docker.socket", "docker.service", "containerd.service"}

// Places are the layout of every appliance, parents first.
var Places = []Place{
	{Path: "/data", Perm: 0o755, For: "what must last"},
	{Path: "/data/etc", Link: "/app/etc", Perm: 0o755, For: "settings and certificates of the host's services"},
	{Path: "/data/etc/tags", Perm: 0o755, For: "what ran last"},
	{Path: "/data/etc/flags", Perm: 0o755, For: "orders of the operator"},
	{Path: "/data/etc/hooks", Perm: 0o755, For: "programs of the operator"},
	{Path: "/data/ecs-ca", Link: "/app/ecs-ca", Perm: 0o700, Owner: Apps, For: "the application: authority of client certificates"},
	{Path: "/data/ecs-gpg", Link: "/app/ecs-gpg", Perm: 0o700, Owner: Apps, For: "the application: keys of the storage vault"},
	{Path: "/data/ecs-pgdump", Perm: 0o750, Owner: Apps, For: "dumps of the database"},
	{Path: "/data/ecs-storage-vault", Link: "/app/ecs-storage-vault", Perm: 0o750, Owner: Apps, For: "the application: documents"},
	{Path: "/data/postgresql", Link: "/var/lib/postgresql", Perm: 0o755, For: "the host's database server", Units: []string{"postgresql.service"}},
	{Path: "/volatile", Perm: 0o755, For: "what can be made again"},
	{Path: "/volatile/docker", Link: "/var/lib/docker", Perm: 0o710, For: "the engine: containers and images", Units: engine},
	{Path: "/volatile/containerd", Link: "/var/lib/containerd", Perm: 0o711, For: "the engine: images of newer engines", Units: engine},
	{Path: "/volatile/ecs-backup-test", Perm: 0o750, Owner: Apps, For: "backups that are only tried"},
	{Path: "/volatile/ecs-cache", Link: "/app/ecs-cache", Perm: 0o755, Owner: Apps, For: "the application: cache"},
	{Path: "/volatile/redis", Perm: 0o755, Owner: Apps, For: "the application: queues and sessions"},
	{Path: "/app", Perm: 0o755, For: "the application and the environment"},
}
