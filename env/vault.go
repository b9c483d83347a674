package env

// Vault is what the environment says of the storage vault.
type Vault struct {
	Encrypt, Sign string   // OpenPGP secret keys in ASCII armor; both or none
	Retired       []string // such keys that old documents need, the newest first
}

func (d *Document) vault() Vault {
	return Vault{Encrypt: d.text("", "ecs", "vault_encrypt"), Sign: d.text("", "ecs", "vault_sign"), Retired: d.list(nil, "ecs", "vault_retired")}
}

// Problem tells what is wrong with the value at a path, as Validate would.
func (d *Document) Problem(path []string, message, remedy string) Problem {
	at := d.Top
	for n := len(path); n > 0; n-- {
		if found, known := d.Top.Locate(path[:n]); known {
			at = found
			break
		}
	}
	return Problem{File: at.File, Line: at.Line, Column: at.Column, Path: dotted(path), Message: message, Remedy: remedy}
}
