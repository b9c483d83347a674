package source

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// ec2 asks as IMDSv2 wants it, with a token that only a PUT gets.
func ec2(ctx context.Context, w *web, base string) (*answer, error) {
	token, err := ec2Token(ctx, w, base)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if token != "" {
		header.Set("X-aws-ec2-metadata-token", token)
	}
	return w.get(ctx, base+"/latest/user-data", header)
}

// ec2Token gets a token, or "" from a server that knows only the first version of the protocol. EC2 itself refuses with
// 400, 401 or 403, and then asking without a token is no way out. Look-alikes have 404, or 405 and 501 where a plain
// web server serves the tree and no PUT at all (CloudStack's router, test servers).
func ec2Token(ctx context.Context, w *web, base string) (string, error) {
	a, err := w.ask(ctx, http.MethodPut, base+"/latest/api/token", http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {"60"}})
	if err != nil {
		return "", err
	}
	switch a.status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return "", nil
	}
	body, err := a.document("ec2")
	if err != nil {
		return "", err
	}
	if !isToken(body) {
		return "", fmt.Errorf("%s: the answer is no token", a.address)
	}
	return string(body), nil
}

// isToken says whether data is of the characters that tokens in headers are made of (token68 in RFC 9110): a page is not.
func isToken(data []byte) bool {
	const special = "-._~+/="
	for _, c := range data {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte(special, c) < 0 {
			return false
		}
	}
	return len(data) > 0 && len(data) <= 1024
}
