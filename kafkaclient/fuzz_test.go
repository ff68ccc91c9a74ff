package kafkaclient

import (
	"strings"
	"testing"
)

// FuzzJaas: an entry is read or refused without showing it (I12), and quoted values come back.
func FuzzJaas(f *testing.F) {
	f.Add(`a.PlainLoginModule required username="u" password="p";`, "u", `p"w;=\`)
	f.Add(`x required a='\`, "", "")
	f.Add(`;==;`, "'", "\n\t\r")
	f.Add("m required \x00=\"b\" ;", "\x00", "é ")
	f.Add("m required a=\"secret-0123456789", "a", "b")
	f.Add("secret-0123456789 secret-0123456789 ;", "a", "b")
	f.Fuzz(func(t *testing.T, text, user, password string) {
		e, err := parseJaas(text)
		if err == nil && (e.module == "" || e.options == nil) {
			t.Errorf("parseJaas(%q) = %+v", text, e)
		}
		const secret = "secret-0123456789"
		for _, at := range []int{0, len(text) / 2, len(text)} {
			if _, err := parseJaas(text[:at] + secret + text[at:]); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the text: %v", err)
			}
		}
		quote := func(v string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(v) + `"`
		}
		e, err = parseJaas("a.Module REQUIRED\n username=" + quote(user) + " password =" + quote(password) + " ;\n")
		if err != nil || e.module != "a.Module" || len(e.options) != 2 || e.options["username"] != user || e.options["password"] != password {
			t.Errorf("%q, %q: got %+v, %v", user, password, e, err)
		}
	})
}
