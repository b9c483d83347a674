package env

import "appliance/env/yaml11"

// Settings are the values that the appliance itself acts upon, with defaults filled in. They are meaningful once
// Validate has passed.
type Settings struct {
	Standby bool   // prepare, but do not activate
	Domain  string // full name of the host, of its site and its certificate
	Site    Site
	Storage Storage
	Vault   Vault
}

// Settings answers the settings of the document.
func (d *Document) Settings() Settings {
	return Settings{Standby: d.flag("appliance", "standby"), Domain: d.domain(), Site: d.site(), Storage: d.storage(), Vault: d.vault()}
}

func (d *Document) domain() string {
	if v := d.Top.Get("appliance", "domain"); v != nil && v.Kind == yaml11.Text {
		return yaml11.Strip(v.Text)
	}
	return ""
}

// flag is true when the value flattens to true; the predecessor compared the flattened text.
func (d *Document) flag(path ...string) bool {
	v := d.Top.Get(path...)
	return v != nil && (v.Kind == yaml11.Boolean && v.Text == "true" || v.Kind == yaml11.Text && yaml11.Strip(v.Text) == "true")
}

// Defaults are the settings of an environment that says nothing.
func Defaults() Settings {
	return (&Document{Document: &yaml11.Document{Top: &yaml11.Value{Kind: yaml11.Mapping}}}).Settings()
}
