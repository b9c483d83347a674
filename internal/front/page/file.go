package page

import "time"

// File is the page as a file, for a server of somebody else, which shows it to everybody in the notice's language and
// cannot be asked by the page. So it has no script, says only what stays true for as long as it is not written anew, and
// makes browsers ask again every few seconds. (Not those whose address has a fragment: they would only scroll.)
func File(n Notice) []byte {
	v := view{Notice: clean(n)}
	d := v.document(v.Language, "./", time.Now())
	d.Live = false
	for _, m := range []*moment{d.Since, d.NextTry} {
		if m != nil {
			m.Span = ""
		}
	}
	for _, p := range d.Phases {
		for i := range p.Steps {
			if p.Steps[i].State == "running" {
				p.Steps[i].Span = ""
			}
		}
	}
	a := answer{form: formHTML}
	a.show(d)
	return a.body
}
