package env

import "strconv"

// Storage is what the environment says of file systems and what lies on them.
type Storage struct {
	Ignored map[string]bool // volumes ("data", "volatile") that need no file system of their own
	App     int             // numeric user and group of the application
	Space   Space
}

// Space are the shares of a file system, in percent, that have to stay free: below Warn there is a warning, below Hold no new
// work is taken on, below Protect whoever writes is stopped.
type Space struct{ Warn, Hold, Protect int }

func (d *Document) storage() Storage {
	at := func(path ...string) []string { return append([]string{"appliance", "storage"}, path...) }
	return Storage{
		Ignored: map[string]bool{"data": d.flag(at("ignore", "data")...), "volatile": d.flag(at("ignore", "volatile")...)},
		App:     d.number(1000, at("owners", "app")...),
		Space: Space{Warn: d.number(20, at("space", "warn")...), Hold: d.number(10, at("space", "hold")...),
			Protect: d.number(3, at("space", "protect")...)},
	}
}

// number is the whole number at path, or def where there is none; the schema has seen it.
func (d *Document) number(def int, path ...string) int {
	n, err := strconv.Atoi(d.text("", path...))
	if err != nil {
		return def
	}
	return n
}

// thresholds refuses shares of free space that are not in their order: an earlier one would never be seen.
func (v *validation) thresholds() {
	s := v.storage().Space
	for _, pair := range []struct {
		higher, lower string
		ok            bool
	}{{"warn", "hold", s.Warn >= s.Hold}, {"hold", "protect", s.Hold >= s.Protect}} {
		if pair.ok {
			continue
		}
		place := []string{"appliance", "storage", "space", pair.lower}
		at, known := v.Top.Locate(place)
		if !known { // the default of this one meets a value of the other
			place[3] = pair.higher
			at, _ = v.Top.Locate(place)
		}
		v.contradiction(at, place, "the share for "+pair.lower+" is larger than that for "+pair.higher, "let warn be the largest and protect the smallest")
	}
}
