package phases

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"appliance/internal/api"
	"appliance/internal/remedy"
	"appliance/storage"
	"appliance/storage/vault"
)

// notices keeps what an operator should know before it is a failure, as steps and the watch have last seen it: so a request for the
// status looks at nothing. A nil one is that of a walk which nobody asks. It is safe for concurrent use.
type notices struct {
	mu   sync.Mutex
	said map[string][]notice // by who says it
}

// notice is one of them; about tells it from others of its code.
type notice struct {
	about string
	api.Warning
}

// say puts what somebody has seen now in the place of what he saw before. What goes on to hold keeps its time.
func (n *notices) say(who string, now time.Time, seen []notice) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, s := range seen {
		seen[i].Since = now
		for _, before := range n.said[who] {
			if before.about == s.about && before.Code == s.Code {
				seen[i].Since = before.Since
			}
		}
	}
	if n.said == nil {
		n.said = map[string][]notice{}
	}
	n.said[who] = seen
}

func (n *notices) all() (list []api.Warning) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, seen := range n.said {
		for _, s := range seen {
			list = append(list, s.Warning)
		}
	}
	return list
}

// warnings lists all that holds, oldest first.
func (a *Appliance) warnings() []api.Warning {
	list := a.notices.all()
	for _, w := range a.certificates.Warnings() {
		list = append(list, api.Warning{Code: w.Code, Since: w.Since, Text: w.Text, Remedy: w.ToDo})
	}
	for i, w := range list {
		list[i].Text, list[i].Remedy = a.hide(w.Text), a.hide(w.Remedy)
	}
	slices.SortFunc(list, func(x, y api.Warning) int {
		return cmp.Or(x.Since.Compare(y.Since), strings.Compare(x.Code, y.Code), strings.Compare(x.Text, y.Text))
	})
	return list
}

// noteRooms notes which file systems are filling up.
func (w *walk) noteRooms(rooms []room) {
	var seen []notice
	for _, r := range rooms {
		if r.level > storage.Ample {
			seen = append(seen, notice{r.path, api.Warning{Code: "space-" + r.level.String(), Text: r.String(), Remedy: r.remedy()}})
		}
	}
	w.notices.say("space", w.sys.Now(), seen)
}

// noteVault notes which keys of the vault are about to expire, and answers them.
func (w *walk) noteVault() []vault.Warning {
	var seen []notice
	list := vault.Home{System: w.sys}.Warnings()
	for _, k := range list {
		seen = append(seen, notice{k.Use, api.Warning{Code: k.Code, Text: k.Text, Remedy: k.ToDo}})
	}
	w.notices.say("vault", w.sys.Now(), seen)
	return list
}

// noteVolumes notes which volumes are not what they seem.
func (w *walk) noteVolumes(all []storage.Found) {
	var seen []notice
	for _, f := range all {
		if doubt := f.Doubt(); doubt != "" {
			seen = append(seen, notice{f.Path, api.Warning{Code: "volume-doubt", Text: fmt.Sprintf("%s: %s", f.Path, doubt), Remedy: storage.DoubtToDo}})
		}
	}
	w.notices.say("volumes", w.sys.Now(), seen)
}

// noteOld notes why old directories of moves stay, though all runs on the new ones.
func (w *walk) noteOld(err error) {
	var seen []notice
	if err != nil {
		seen = []notice{{"", api.Warning{Code: "old-directory", Text: err.Error(), Remedy: remedy.Of(err)}}}
	}
	w.notices.say("moved", w.sys.Now(), seen)
}

// warningsPath is read by the textfile collector of Prometheus' node exporter, as the certificate's metrics are.
const warningsPath = "/data/etc/metric_import/appliance-warnings.prom"

// publishWarnings writes how many warnings there are of which code, where that has changed. Without any there is no file.
func (a *Appliance) publishWarnings() {
	count := map[string]int{}
	for _, w := range a.warnings() {
		count[w.Code]++
	}
	var text strings.Builder
	for i, code := range slices.Sorted(maps.Keys(count)) {
		if i == 0 {
			text.WriteString("# HELP appliance_warnings What the status warns of.\n# TYPE appliance_warnings gauge\n")
		}
		fmt.Fprintf(&text, "appliance_warnings{code=%q} %d\n", code, count[code])
	}
	old, err := a.cfg.System.ReadFile(warningsPath)
	switch {
	case string(old) == text.String() && (err == nil || text.Len() == 0):
		return
	case text.Len() == 0:
		err = a.cfg.System.Remove(warningsPath)
	default:
		err = a.cfg.System.WriteFile(warningsPath, []byte(text.String()), 0o644)
	}
	if err != nil {
		a.cfg.Log.Debug("cannot write metrics", "err", err) // at the next look again; that there is no room is told elsewhere
	}
}
