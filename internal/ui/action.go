package ui

import (
	"context"
	"net/http"
	"slices"
	"time"

	"appliance/internal/remedy"
)

const (
	formMax    = 4 << 10          // bytes
	renewLimit = 15 * time.Minute // authorities let one wait
	patience   = 10 * time.Second // of somebody at a browser
)

// posted are the actions that the API takes by their name.
var posted = [...]string{"clear", "reload", "confirm", "revert"}

// do passes an action on, and shows the page with how that went.
func (v *View) do(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, formMax)
	switch name := req.PostFormValue("action"); {
	case slices.Contains(posted[:], name):
		ctx, cancel := context.WithTimeout(req.Context(), limit)
		defer cancel()
		_, err := v.cfg.Supervisor.Post(ctx, name)
		v.show(w, req, outcome(err, "Asked for: "+name+". What happens is shown below."))
	case name == "renew":
		v.show(w, req, v.renew())
	default:
		v.paper.refuse(w, http.StatusBadRequest, "There is no such action.")
	}
}

// renew asks for a certificate. That goes on when the browser leaves, and is not waited for longer than somebody would
// look at a page that does not come: how it ended is said by the certificate itself.
func (v *View) renew() notice {
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(v.life, renewLimit)
		defer cancel()
		_, err := v.cfg.Supervisor.RenewCertificate(ctx)
		ended <- err
	}()
	select {
	case err := <-ended:
		return outcome(err, "There is a new certificate.")
	case <-time.After(patience):
		return notice{Text: "A new certificate is being asked for. The certificate below says how that ends.", Tone: busy}
	}
}

func outcome(err error, well string) notice {
	if err != nil {
		return failed(err)
	}
	return notice{Text: well, Tone: good}
}

func failed(err error) notice {
	if err == nil {
		return notice{}
	}
	return notice{Text: err.Error(), ToDo: remedy.Of(err), Tone: bad}
}
