package nginx

// PageFile is shown by nginx in place of the application, with status 503, as long as it is there.
const PageFile = "/var/www/html/503.html"

// ShowPage makes nginx show the page to everybody from the next request on.
func (s *Server) ShowPage(html []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(PageFile, html)
}

// HidePage lets visitors through to the application again.
func (s *Server) HidePage() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.System.Remove(PageFile)
}
