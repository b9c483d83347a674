package env

import "appliance/env/yaml11"

// Settings are the values that the appliance itself acts upon, with defaults filled in. They are meaningful once
// Validate has passed.
type Settings struct {
	Standby bool   // prepare, but do not activate
	Domain  string // full name of the host, of its site and its certificate
}

// Settings answers the settings of the document.
func (d *Document) Settings() Settings {
	s := Settings{Standby: d.flag("appliance", "standby")}
	if v := d.Top.Get("appliance", "domain"); v != nil && v.Kind == yaml11.Text {
		s.Domain = yaml11.Strip(v.Text)
	}
	return s
}

// flag is true when the value flattens to true; the predecessor compared the flattened text.
func (d *Document) flag(path ...string) bool {
	v := d.Top.Get(path...)
	return v != nil && (v.Kind == yaml11.Boolean && v.Text == "true" || v.Kind == yaml11.Text && yaml11.Strip(v.Text) == "true")
}
