package env

// Settings are the values that the appliance itself acts upon, with defaults filled in. They are meaningful once
// Validate has passed.
type Settings struct {
	Standby bool   // prepare, but do not activate
	Domain  string // full name of the host, of its site and its certificate
}

// Settings answers the settings of the document.
func (d *Document) Settings() Settings {
	s := Settings{Standby: d.flag("appliance", "standby")}
	if v := d.top.get("appliance", "domain"); v != nil && v.kind == text {
		s.Domain = strip(v.text)
	}
	return s
}

// flag is true when the value flattens to true; the predecessor compared the flattened text.
func (d *Document) flag(path ...string) bool {
	v := d.top.get(path...)
	return v != nil && (v.kind == boolean && v.text == "true" || v.kind == text && strip(v.text) == "true")
}
