package workerconfig

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// Listener is one address that the REST API listens on.
type Listener struct {
	Protocol string // http or https
	Host     string // "": every interface
	Port     int    // 0: any free one
}

// Address is host:port as net.Listen takes it.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

var listener = regexp.MustCompile(`^(?i:(https?))://\[?([0-9a-zA-Z\-%._:]*)\]?:([0-9]{1,5})$`)

func parseListener(s string) (Listener, error) {
	m := listener.FindStringSubmatch(s)
	if m == nil {
		return Listener{}, fmt.Errorf("%q is not a listener; http://host:port or https://host:port is expected, for example http://:8083", s)
	}
	port, err := strconv.ParseUint(m[3], 10, 16)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is not a listener: the port is larger than 65535", s)
	}
	return Listener{strings.ToLower(m[1]), m[2], int(port)}, nil
}

func checkListeners(v string) string {
	for _, s := range connectors.SplitList(v) {
		if _, err := parseListener(s); err != nil {
			return err.Error()
		}
	}
	return ""
}

func checkProtocol(v string) string {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "", "http", "https":
		return ""
	}
	return "Value must be one of http, https"
}

// Listeners is where the REST API listens. In a standalone worker: nowhere unless the key is given.
func (c *Config) Listeners() []Listener {
	if c.mode == Standalone && !c.Given(KeyListeners) {
		return nil
	}
	return parseListeners(c.List(KeyListeners))
}

// AdminListeners is where /admin is served; beside is true when it is served on Listeners (the key is not given). An empty list
// that is given means nowhere.
func (c *Config) AdminListeners() (list []Listener, beside bool) {
	if _, given := c.Properties[keyAdmin]; !given {
		return nil, true
	}
	return parseListeners(c.List(keyAdmin)), false
}

func parseListeners(texts []string) []Listener {
	var out []Listener
	for _, s := range texts {
		if l, err := parseListener(s); err == nil { // checked before
			out = append(out, l)
		}
	}
	return out
}

// ListenerTLS returns the ssl.* properties of https listeners: those under listeners.https. (admin: admin.listeners.https.) when
// there is one, else the worker's, all or nothing as in the reference.
func (c *Config) ListenerTLS(admin bool) connectors.Config {
	prefix := "listeners.https."
	if admin {
		prefix = "admin.listeners.https."
	}
	out := connectors.Config{}
	for _, name := range c.values.Family(prefix) {
		out[strings.TrimPrefix(name, prefix)] = c.Properties[name]
	}
	if len(out) > 0 {
		return out
	}
	for _, name := range c.values.Family("ssl.") {
		out[name] = c.Properties[name]
	}
	return out
}

// Advertised is the URL that other workers and clients are told, and the worker's id in statuses (host:port). bound is the
// port that is listened on: it matters when the listener's is 0.
func (c *Config) Advertised(listeners []Listener, bound func(Listener) int) (url, id string, err error) {
	protocol := strings.ToLower(c.String(keyAdvertised))
	var found *Listener
	for i := range listeners {
		if protocol == "" || listeners[i].Protocol == protocol {
			found = &listeners[i]
			break
		}
	}
	if found == nil {
		return "", "", fmt.Errorf("worker key %s is %q, but no listener has that protocol", keyAdvertised, protocol)
	}
	host, port := c.String(keyHost), int(c.Int(keyPort))
	if host == "" {
		host = found.Host
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = ownAddress()
	}
	if port == 0 {
		port = bound(*found)
	}
	id = net.JoinHostPort(host, strconv.Itoa(port))
	return found.Protocol + "://" + id + "/", id, nil
}

// ownAddress is this machine's address as its own name says (java.net.InetAddress.getLocalHost).
func ownAddress() string {
	name, err := os.Hostname()
	if err != nil {
		return "127.0.0.1"
	}
	addresses, err := net.LookupHost(name)
	if err != nil {
		return name
	}
	for _, a := range addresses {
		if ip := net.ParseIP(a); ip != nil && ip.To4() != nil {
			return a
		}
	}
	return name
}
