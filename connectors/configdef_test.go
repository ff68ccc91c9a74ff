package connectors

import (
	"fmt"
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
