package page

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// tryAgain is when a browser asks again by itself for what the application should have answered.
const tryAgain = 10 * time.Second

// Error answers one request that could not be served: a headline and a sentence for the status, in the form and the
// language that fit the request, whom to turn to, and no details.
func (b *Board) Error(w http.ResponseWriter, r *http.Request, status int) {
	now := b.look()
	a := answer{status: status, language: languageOf(r, now.Language), form: formOf(r)}
	text := in(a.language)
	said := text.forStatus(status)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryStarting/time.Second)))
	}
	if a.form == formJSON {
		a.body, _ = json.Marshal(struct { // an int and two valid strings
			Status int    `json:"status"`
			Error  string `json:"error"`
			Advice string `json:"advice"`
		}{status, said.Headline, said.Sentence})
		a.send(w, r)
		return
	}
	if passes := status == http.StatusBadGateway || status == http.StatusGatewayTimeout; passes && r.Method == http.MethodGet && a.form == formHTML {
		w.Header().Set("Refresh", strconv.Itoa(int(tryAgain/time.Second)))
		said.Sentence += " " + text.TriesAgain
	}
	d := document{Language: a.language, Text: text, Mood: "trouble", Headline: said.Headline, Sentence: said.Sentence,
		Site: now.Site, Vendor: now.Vendor, Contact: links(now.Contact)}
	d.Reopen = repeatable(r.Method) && status >= 500
	a.show(d)
	a.send(w, r)
}

func (t *texts) forStatus(status int) saying {
	if said, ok := t.Errors[status]; ok {
		return said
	}
	if status < 500 {
		return t.ClientError
	}
	return t.ServerError
}
