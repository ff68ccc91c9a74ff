package connectors

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func testDef() *ConfigDef {
	return &ConfigDef{Keys: []Key{
		{Name: "host", Type: TypeString, Required: true},
		{Name: "port", Type: TypeInt, Default: "5432", HasDefault: true},
		{Name: "small", Type: TypeShort},
		{Name: "ratio", Type: TypeDouble},
		{Name: "ssl", Type: TypeBoolean, Default: "false", HasDefault: true},
		{Name: "mode", Type: TypeString, Default: "initial", HasDefault: true, Recommended: []string{"initial", "never"}, Closed: true},
		{Name: "password", Type: TypePassword},
		{Name: "later", Type: TypeString, Default: "no", HasDefault: true, Harmless: []string{"none"}, Unsupported: "not written"},
		{Name: "even", Type: TypeInt, Check: func(v string) string {
			if strings.HasSuffix(v, "1") {
				return "it is odd"
			}
			return ""
		}},
		{Name: "driver.", Type: TypeString, Prefix: true},
		{Name: "driver.deep.", Type: TypePassword, Prefix: true},
		{Name: "tables", Type: TypeList},
	}}
}

func TestValidateConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{"host": "h"}, ""},
		{Config{}, "The 'host' value is invalid: A value is required"},
		{Config{"host": "  "}, "The 'host' value is invalid: A value is required"},
		{Config{"host": "h", "port": "x"}, "The 'port' value is invalid: An integer is expected"},
		{Config{"host": "h", "port": "99999999999"}, "The 'port' value is invalid: An integer is expected"},
		{Config{"host": "h", "port": " 12 "}, ""},
		{Config{"host": "h", "small": "40000"}, "The 'small' value is invalid: An integer is expected"},
		{Config{"host": "h", "ratio": "0.5e3"}, ""},
		{Config{"host": "h", "ratio": "half"}, "The 'ratio' value is invalid: A number is expected"},
		{Config{"host": "h", "ssl": "TRUE"}, ""},
		{Config{"host": "h", "ssl": "yes"}, "The 'ssl' value is invalid: Either true or false is expected"},
		{Config{"host": "h", "mode": "NEVER"}, ""},
		{Config{"host": "h", "mode": "x"}, "The 'mode' value is invalid: Value must be one of initial, never"},
		{Config{"host": "h", "later": "no"}, ""},
		{Config{"host": "h", "later": "None"}, ""},
		{Config{"host": "h", "later": "yes"}, "The 'later' value is invalid: not supported yet: not written"},
		{Config{"host": "h", "even": "21"}, "The 'even' value is invalid: it is odd"},
		{Config{"host": "h", "driver.x": "1"}, ""},
	} {
		values, unknown := testDef().Validate(c.config)
		if got := strings.Join(Errors(values), "; "); got != c.want {
			t.Errorf("%v: got %q, want %q", c.config, got, c.want)
		}
		if len(unknown) > 0 {
			t.Errorf("%v: unknown %v", c.config, unknown)
		}
	}
	_, unknown := testDef().Validate(Config{"host": "h", "hots": "", "driver": ""})
	if fmt.Sprint(unknown) != "[driver hots]" {
		t.Errorf("unknown %v", unknown)
	}
}

// TestNoSecrets checks I12.
func TestNoSecrets(t *testing.T) {
	values, _ := testDef().Validate(Config{"host": "h", "password": "hidden", "driver.deep.x": "hidden", "driver.x": "seen"})
	var text string
	for _, v := range values {
		text += v.Text() + strings.Join(v.Errors, "")
	}
	if strings.Contains(text, "hidden") || !strings.Contains(text, "seen") {
		t.Errorf("got %s", text)
	}
}

func TestFind(t *testing.T) {
	d := testDef()
	for name, want := range map[string]string{"port": "port", "driver.a": "driver.", "driver.deep.a": "driver.deep."} {
		if k := d.Find(name); k == nil || k.Name != want {
			t.Errorf("%s: got %v", name, k)
		}
	}
	if d.Find("nothing") != nil {
		t.Error("found nothing")
	}
}

func TestValues(t *testing.T) {
	v := testDef().Values(Config{"host": " h ", "ssl": "True", "tables": ` a\,b , c,, `, "driver.b": "2", "driver.a": "1", "mode": " Never "})
	if v.String("host") != " h " || v.Int("port") != 5432 || !v.Bool("ssl") || v.Enum("mode") != "never" || v.Int("small") != 0 {
		t.Error("scalars")
	}
	if got := fmt.Sprintf("%q", v.List("tables")); got != `["a,b" "c"]` {
		t.Errorf("list %s", got)
	}
	if got := fmt.Sprint(v.Family("driver.")); got != "[driver.a driver.b]" {
		t.Errorf("family %s", got)
	}
	if v.Given("port") || !v.Given("host") {
		t.Error("Given")
	}
	mustPanic(t, func() { v.String("no such key") })
}

// TestConnectStyle compares with what Kafka 4.3's ConfigDef says.
func TestConnectStyle(t *testing.T) {
	least := func(v string) string {
		if strings.HasPrefix(v, "-") || v == "0" {
			return "Value must be at least 1"
		}
		return ""
	}
	def := &ConfigDef{Style: StyleConnect, Keys: []Key{
		{Name: "must", Type: TypeString, Required: true, Check: NotEmpty},
		{Name: "n", Type: TypeInt, Default: "1", HasDefault: true, Check: least, NotNull: true},
		{Name: "small", Type: TypeShort},
		{Name: "ratio", Type: TypeDouble},
		{Name: "flag", Type: TypeBoolean},
		{Name: "list", Type: TypeList, Check: func(v string) string {
			if v == "a,a" {
				return "Duplicate alias provided."
			}
			return ""
		}},
		{Name: "class", Type: TypeClass, Check: func(v string) string {
			if v != "Here" {
				return "Class " + v + " could not be found."
			}
			return ""
		}},
		{Name: "one", Type: TypeString, Check: OneOf("none", "all")},
		{Name: "fold", Type: TypeString, Check: OneOfFold("REQUIRED", "REQUESTED")},
		{Name: "later", Type: TypeString, Default: "no", HasDefault: true, Unsupported: "not written"},
		{Name: "password", Type: TypePassword, Check: func(string) string { return "too short" }},
		{Name: "url", Type: TypeString, Show: func(string) string { return "h" }},
	}}
	for _, c := range []struct{ key, given, value, errors string }{
		{"must", "", "", "Invalid value  for configuration must: String must be non-empty"},
		{"must", " x ", " x ", ""},
		{"n", " 7 ", "7", ""},
		{"n", "0", "0", "Invalid value 0 for configuration n: Value must be at least 1"},
		{"n", "many", "null", "Invalid value many for configuration n: Not a number of type INT; Invalid value null for configuration n: Value must be non-null"},
		{"n", "99999999999", "null", "Invalid value 99999999999 for configuration n: Not a number of type INT; Invalid value null for configuration n: Value must be non-null"},
		{"small", "40000", "null", "Invalid value 40000 for configuration small: Not a number of type SHORT"},
		{"ratio", "", "null", "Invalid value  for configuration ratio: Not a number of type DOUBLE"},
		{"flag", " TRUE ", "true", ""},
		{"flag", "maybe", "null", "Invalid value maybe for configuration flag: Expected value to be either true or false"},
		{"list", "a , b,", "a,b", ""},
		{"list", "a,a", "a,a", "Invalid value [a, a] for configuration list: Duplicate alias provided."},
		{"class", "Here", "Here", ""},
		{"class", "Nope", "null", "Invalid value Nope for configuration class: Class Nope could not be found."},
		{"one", "some", "some", "Invalid value some for configuration one: String must be one of: none, all"},
		{"fold", "Required", "Required", ""},
		{"fold", "x", "x", "Invalid value x for configuration fold: String must be one of (case insensitive): REQUIRED, REQUESTED"},
		{"later", "NO", "NO", ""},
		{"later", "yes", "yes", "Invalid value yes for configuration later: not supported yet: not written"},
		{"password", "tell nobody", Hidden, "Invalid value " + Hidden + " for configuration password: too short"},
		{"url", "tell nobody", "h", ""},
	} {
		values, _ := def.Validate(Config{"must": "x", c.key: c.given})
		for _, v := range values {
			got := "null"
			if v.Value != nil {
				got = *v.Value
			}
			if text := strings.Join(v.Errors, "; "); v.Name == c.key && (got != c.value || text != c.errors) {
				t.Errorf("%s=%s: got %s, %s", c.key, c.given, got, text)
			}
			if strings.Contains(v.Text()+strings.Join(v.Errors, ""), "nobody") {
				t.Errorf("the secret is in %+v", v)
			}
		}
	}
	values, _ := def.Validate(Config{})
	if got := strings.Join(Errors(values), "; "); got != `Missing required configuration "must" which has no default value.` || values[1].Text() != "1" || values[2].Value != nil {
		t.Errorf("got %s, %v", got, values)
	}
}

func TestRegexProblem(t *testing.T) {
	for expression, want := range map[string]string{
		"(":     "Unclosed group near index 1\n(",
		"a(b|c": "Unclosed group near index 5\na(b|c",
		"a[b":   "Unclosed character class near index 2\na[b\n  ^",
		"*a":    "Dangling meta character '*' near index 0\n*a\n^",
	} {
		_, err := regexp.Compile(expression)
		if got := RegexProblem(expression, err); got != want {
			t.Errorf("%s: got %q, want %q", expression, got, want)
		}
	}
}

func TestReadRefusesWhatIsWrong(t *testing.T) {
	def := &ConfigDef{Keys: []Key{{Name: "path", Type: TypeString, Required: true}, {Name: "size", Type: TypeInt, Default: "3", HasDefault: true}}}
	v, err := def.Read(Config{"path": "x", "another": "y"})
	if err != nil || v.String("path") != "x" || v.Int("size") != 3 {
		t.Errorf("%q, %d: %v", v.String("path"), v.Int("size"), err)
	}
	_, err = def.Read(Config{"size": "many"})
	if err == nil || ClassOf(err) != Permanent || err.Error() != "The 'path' value is invalid: A value is required; The 'size' value is invalid: An integer is expected" {
		t.Errorf("%s error %v", ClassOf(err), err)
	}
}
