package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// badPath is why the reference's HTTP server refuses a request target before anything else looks at it.
type badPath struct{ uri, message string }

func (e *badPath) Error() string { return e.message }

// splitPath returns the decoded segments of a request's path, without parameters (;x=1) and without an empty one at the end.
// Segments that could mean two things once they are decoded are refused, as the reference does: names that contain them
// cannot be addressed.
func splitPath(target string) ([]string, error) {
	path, _, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(path, "#")
	if strings.ContainsRune(path, '\\') {
		return nil, &badPath{"/badURI", "Suspicious Path Character"}
	}
	raw := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var out []string
	if _, err := url.PathUnescape(path); err != nil {
		return nil, &badPath{"/badMessage", "Bad Request"}
	}
	for i, segment := range raw {
		segment, params, _ := strings.Cut(segment, ";")
		if segment == "" && params == "" {
			if i == len(raw)-1 {
				break
			}
			return nil, &badPath{"/badURI", "Ambiguous URI empty segment"}
		}
		decoded, err := decodeSegment(segment)
		if err != nil {
			return nil, err
		}
		out = append(out, decoded)
	}
	return out, nil
}

func decodeSegment(raw string) (string, error) {
	s, err := url.PathUnescape(raw)
	switch {
	case err != nil || strings.ContainsRune(s, 0):
		return "", &badPath{"/badMessage", "Bad Request"}
	case !utf8.ValidString(s):
		return "", &badPath{"/badURI", "Bad UTF-8 encoding"}
	case strings.ContainsRune(s, '/'):
		return "", &badPath{"/badURI", "Ambiguous URI path separator"}
	case strings.ContainsRune(s, '%'):
		return "", &badPath{"/badURI", "Ambiguous URI path encoding"}
	case s == "." || s == "..":
		return "", &badPath{"/badURI", "Ambiguous URI path segment"}
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return "", &badPath{"/badURI", "Suspicious Path Character"}
	}
	return s, nil
}

// page is the HTML page for it, line for line the one of the reference's server: there are clients that look at it.
func (e *badPath) page() string {
	return fmt.Sprintf(`<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>
<title>Error 400 %[2]s</title>
</head>
<body>
<h2>HTTP ERROR 400 %[2]s</h2>
<table>
<tr><th>URI:</th><td>%[1]s</td></tr>
<tr><th>STATUS:</th><td>400</td></tr>
<tr><th>MESSAGE:</th><td>%[2]s</td></tr>
</table>
<hr/><a href="https://jetty.org/">Powered by Jetty:// 12.0.34</a><hr/>

</body>
</html>
`, e.uri, e.message)
}

const pageType = "text/html;charset=iso-8859-1"

// write answers with the page; methods that change something get the bare status.
func (e *badPath) write(w http.ResponseWriter, method string) {
	w.Header().Set("Connection", "close")
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		w.Header().Set("Content-Type", pageType)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(e.page())) // the client is gone
	default:
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusBadRequest)
	}
}

// escapeName writes a connector's name into the path of a Location. As in the reference, what is a percent-encoded byte
// already stays, and so does a slash.
func escapeName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0,
			c == '%' && i+2 < len(name) && isHex(name[i+1]) && isHex(name[i+2]):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
