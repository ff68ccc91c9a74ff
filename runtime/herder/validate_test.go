package herder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
)

// described is a connector that only has a definition.
type described struct {
	connectors.SourceFactory
	connectors.SinkFactory
	d connectors.Description
}

func (f described) Describe() connectors.Description { return f.d }
func (f described) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := f.d.Config.Validate(c)
	for i := range values {
		if values[i].Name == "host" && strings.HasPrefix(c["host"], "bad") {
			values[i].Errors = append(values[i].Errors, "connect to "+c["host"]+" with "+c["user"]+": refused")
		}
	}
	return values
}

func (f described) Tasks(context.Context, connectors.Config, int) ([]connectors.Config, error) {
	return nil, nil
}

func describedWorker(properties connectors.Config) *runtime.Worker {
	keys := &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{
		{Name: "host", Type: connectors.TypeString, Required: true, Group: "Server"},
		{Name: "user", Type: connectors.TypeString},
		{Name: "password", Type: connectors.TypePassword},
		{Name: "ours", Type: connectors.TypeInt, Own: true},
		{Name: "older", Type: connectors.TypeString, Alias: true},
	}}
	mute := &connectors.ConfigDef{Style: connectors.StyleDebezium, Keys: []connectors.Key{
		{Name: "database.hostname", Type: connectors.TypeString, Required: true}, {Name: "database.password", Type: connectors.TypePassword},
	}}
	sink := &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "url", Type: connectors.TypeString, Required: true, Show: func(string) string { return "url" }}, {Name: "secret", Type: connectors.TypePassword},
	}}
	source := func(class string, def *connectors.ConfigDef) described {
		return described{d: connectors.Description{Class: class, Source: true, Version: "7.1", Config: def}}
	}
	return runtime.NewWorker(runtime.Options{
		Store: offsets.NewMemory(), Config: properties,
		Catalog: runtime.NewCatalog(
			[]connectors.SourceFactory{source("io.test.PlainConnector", keys), source("io.test.MuteConnector", mute), source("kafka", &connectors.ConfigDef{})},
			[]connectors.SinkFactory{
				described{d: connectors.Description{Class: "kafka", Sink: true, Config: &connectors.ConfigDef{}}},
				described{d: connectors.Description{Class: "io.test.TableConnector", Sink: true, FromTopics: true, Config: sink}},
			},
		),
	})
}

func properties(config map[string]any) Properties {
	p := Properties{}
	for k, v := range config {
		p[k] = nil
		if s, ok := v.(string); ok {
			p[k] = &s
		}
	}
	return p
}

// shown is what a validation says of one key.
func shown(v Validation, name string) (defined bool, value string, problems []string) {
	for _, c := range v.Configs {
		if c.Value != nil && c.Value.Name == name {
			value = "null"
			if c.Value.Value != nil {
				value = *c.Value.Value
			}
			return c.Definition != nil, value, c.Value.Errors
		}
	}
	return false, "absent", nil
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		config map[string]any
		key    string
		want   string // definition? value [errors]
		count  int
	}{
		{map[string]any{"connector.class": "Plain", "host": "h"}, "host", "true h []", 0},
		{map[string]any{"connector.class": "Plain"}, "host", `true null [Missing required configuration "host" which has no default value.]`, 1},
		{map[string]any{"connector.class": "Plain", "host": nil}, "host", "true null []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "password": "tell nobody"}, "password", "true [hidden] []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h"}, "ours", "false absent []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "ours": "x"}, "ours", "true null [Invalid value x for configuration ours: Not a number of type INT]", 1},
		{map[string]any{"connector.class": "Plain", "host": "h", "anything": "tell nobody"}, "anything", "false absent []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "anything": nil}, "anything", "false null [" + nullValue + "]", 1},
		{map[string]any{"connector.class": "Plain", "host": "h", "errors.log.enable": nil}, "errors.log.enable", "true null [" + nullValue + "]", 1},
		{map[string]any{"connector.class": "Plain", "host": "h", "tasks.max": nil}, "tasks.max", "true null [Invalid value null for configuration tasks.max: Value must be non-null " + nullValue + "]", 2},
		{map[string]any{"connector.class": "Plain", "host": "h", "connector.plugin.version": "[7.0,8)"}, "connector.plugin.version", "true [7.0,8) []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "connector.plugin.version": "6"}, "connector.plugin.version", "true 6 [Plugin io.test.PlainConnector not found that matches the version range [6,6], available versions: [7.1]]", 2},
		{map[string]any{"connector.class": "Plain", "host": "h", "value.converter.schemas.enable": "x"}, "value.converter.schemas.enable", "false absent []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "sinks": "t", "sinks.t.connector.class": "Table", "sinks.t.url": "tell nobody"}, "sinks.t.url", "true url []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "sinks": "t", "sinks.t.connector.class": "Table", "sinks.t.url": "u", "sinks.t.secret": "tell nobody"}, "sinks.t.secret", "true null []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "sinks": "t", "sinks.t.connector.class": "Table"}, "sinks.t.url", "true null [The 'sinks.t.url' value is invalid: A value is required]", 1},
		{map[string]any{"connector.class": "Plain", "host": "h", "producer.override.linger.ms": " 7 "}, "producer.override.linger.ms", "true 7 []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "producer.override.sasl.jaas.config": "tell nobody"}, "producer.override.sasl.jaas.config", "true [hidden] []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "producer.override.my.secret": "tell nobody"}, "producer.override.my.secret", "false [hidden] []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "consumer.override.max.poll.records": "x"}, "consumer.override.max.poll.records", "false absent []", 0},
		{map[string]any{"connector.class": "Plain", "host": "h", "topic.creation.groups": "a", "admin.override.client.id": "x"}, "admin.override.client.id", "true x []", 0},
		{map[string]any{"connector.class": "Mute", "database.hostname": "h"}, "database.hostname", "true null []", 0},
		{map[string]any{"connector.class": "Mute", "database.hostname": nil}, "database.hostname", "true null [The 'database.hostname' value is invalid: A value is required]", 1},
		{map[string]any{"connector.class": "Mute", "database.hostname": "h", "database.password": "tell nobody"}, "database.password", "true null []", 0},
		{map[string]any{"connector.class": "Table", "url": "u", "topics": "a , b"}, "topics", "true a,b []", 0},
		{map[string]any{"connector.class": "Table", "url": "u"}, "topics.regex", "true  [Must configure one of topics or topics.regex]", 2},
		{map[string]any{"connector.class": "Table", "url": "u", "topics": "a", "consumer.override.max.poll.records": "5"}, "consumer.override.max.poll.records", "true 5 []", 0},
	} {
		c.config["name"] = "n"
		v, err := Check(t.Context(), describedWorker(nil), properties(c.config), ValidateOptions{})
		if err != nil {
			t.Errorf("%v: %v", c.config, err)
			continue
		}
		defined, value, problems := shown(v, c.key)
		if got := fmt.Sprint(defined, " ", value, " ", problems); got != c.want || v.ErrorCount != c.count {
			t.Errorf("%v: got %s with %d errors, want %s with %d", c.config, got, v.ErrorCount, c.want, c.count)
		}
		if text, _ := json.Marshal(v); strings.Contains(string(text), "nobody") || strings.Contains(string(text), "null,\"errors") {
			t.Errorf("%v: %s", c.config, text)
		}
	}
}

// TestCheckFails has configurations that cannot be judged at all.
func TestCheckFails(t *testing.T) {
	for _, c := range []struct {
		config map[string]any
		status int
		create string
		begin  string // of the answer to a validation, before create
	}{
		{map[string]any{"a": "b", "api.token": "tell nobody", "z": nil}, 400, "Connector config {api.token=[hidden], a=b, z=null} contains no connector type", "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: "},
		{map[string]any{"connector.class": "Nope"}, 400, "Failed to find any class that implements Connector and which name matches Nope, available connectors are: io.test.TableConnector, kafka, io.test.MuteConnector, io.test.PlainConnector, kafka", "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: "},
		{map[string]any{"connector.class": "Plain", "name": "n", "host": "h", "producer.override.linger.ms": "x"}, 500, "Invalid value x for configuration linger.ms: Not a number of type LONG", "org.apache.kafka.common.config.ConfigException: "},
		{nil, 500, `Cannot invoke "java.util.Map.get(Object)" because "connectorConfig" is null`, ""},
	} {
		var p Properties
		if c.config != nil {
			p = properties(c.config)
		}
		_, err := Check(t.Context(), describedWorker(nil), p, ValidateOptions{})
		status := 500
		var request *runtime.RequestError
		if errors.As(err, &request) {
			status = int(request.Kind)
		}
		if err == nil || err.Error() != c.create || status != c.status {
			t.Errorf("%v: got %d %v, want %d %s", c.config, status, err, c.status, c.create)
		}
		plugin := "Plain"
		if class, ok := c.config["connector.class"].(string); ok {
			plugin = class
		}
		if _, err := Validate(t.Context(), describedWorker(nil), plugin, p, ValidateOptions{}); err == nil || err.Error() != c.begin+c.create {
			t.Errorf("%v: a validation gets %v", c.config, err)
		}
	}
	_, err := Validate(t.Context(), describedWorker(nil), "PlainConnector", properties(map[string]any{"connector.class": "io.test.MuteConnector"}), ValidateOptions{})
	var request *runtime.RequestError
	if !errors.As(err, &request) || request.Kind != runtime.BadRequest || err.Error() != "Included connector type io.test.MuteConnector does not match request type PlainConnector" {
		t.Errorf("got %v", err)
	}
	if _, err := Validate(t.Context(), describedWorker(nil), "PlainConnector", properties(map[string]any{"connector.class": "io.test.PlainConnector"}), ValidateOptions{}); err != nil {
		t.Error(err)
	}
}

// TestResolvedValuesAreNotShown checks I12 for what config providers give.
func TestResolvedValuesAreNotShown(t *testing.T) {
	o := ValidateOptions{Resolve: func(c connectors.Config) (connectors.Config, error) {
		out := connectors.Config{}
		for k, v := range c {
			out[k] = strings.ReplaceAll(v, "${p:secret}", "nobody-knows")
		}
		return out, nil
	}}
	for _, config := range []map[string]any{
		{"host": "${p:secret}", "user": "u"},
		{"host": "bad", "user": "${p:secret}"},
		{"host": "h", "ours": "${p:secret}"},
		{"host": "h", "tasks.max": "${p:secret}"},
		{"host": "h", "producer.override.acks": "${p:secret}"},
		{"host": "h", "sinks": "t", "sinks.t.connector.class": "Table", "sinks.t.url": "x-${p:secret}"},
	} {
		config["name"], config["connector.class"] = "n", "Plain"
		v, err := Check(t.Context(), describedWorker(nil), properties(config), o)
		if err != nil {
			t.Errorf("%v: %v", config, err)
			continue
		}
		text, _ := json.Marshal(v)
		if strings.Contains(string(text), "nobody") {
			t.Errorf("%v: %s", config, text)
		}
	}
	v, err := Check(t.Context(), describedWorker(nil), properties(map[string]any{"name": "n", "connector.class": "Plain", "host": "bad", "user": "x/${p:secret}"}), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, value, _ := shown(v, "user"); value != "x/${p:secret}" {
		t.Errorf("got %s", value)
	}
	if got := v.Err(); got == nil || !strings.Contains(got.Error(), "connect to bad with x/${p:secret}: refused") {
		t.Errorf("got %v", got)
	}
	for _, n := range []int{0, 16, 17, 1 << 20} {
		user := strings.Repeat("${}", n) + "${p:secret}"
		if v, err = Check(t.Context(), describedWorker(nil), properties(map[string]any{"name": "n", "connector.class": "Plain", "host": "bad", "user": user}), o); err != nil {
			t.Fatal(err)
		}
		if got := v.Err(); got == nil || strings.Contains(got.Error(), "nobody") || !strings.Contains(got.Error(), "connect to bad with ${") {
			t.Errorf("a value among %d others is shown", n)
		}
	}
	_, err = Check(t.Context(), describedWorker(nil), properties(map[string]any{"name": "n", "connector.class": "Plain", "host": "h", "producer.override.linger.ms": "${p:secret}"}), o)
	if err == nil || strings.Contains(err.Error(), "nobody") {
		t.Errorf("got %v", err)
	}
}

func TestPolicyIsPartOfAValidation(t *testing.T) {
	w := describedWorker(connectors.Config{"connector.client.config.override.policy": "None"})
	v, err := Check(t.Context(), w, properties(map[string]any{"name": "n", "connector.class": "Plain", "host": "h", "producer.override.acks": "1"}), ValidateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := "Connector configuration is invalid and contains the following 1 error(s):\nThe 'None' policy does not allow 'acks' to be overridden in the connector configuration.\n" +
		"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"
	if got := v.Err(); got == nil || got.Error() != want {
		t.Errorf("got %v", got)
	}
}

func TestAliasHasNoValue(t *testing.T) {
	v, err := Check(t.Context(), describedWorker(nil), properties(map[string]any{"name": "n", "connector.class": "Plain", "host": "h", "older": "x"}), ValidateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(v.Configs, func(c ConfigInfo) bool { return c.Definition != nil && c.Definition.Name == "older" })
	if at < 0 || v.Configs[at].Value != nil {
		t.Errorf("got %+v", v.Configs)
	}
}

// TestHashOrder compares with java.util.HashMap: at 12 entries it has 16 buckets, at 13 it has 32.
func TestHashOrder(t *testing.T) {
	for names, want := range map[string]string{
		"converter.type schemas.enable schemas.cache.size schema.content decimal.format replace.null.with.default": "decimal.format converter.type schemas.cache.size replace.null.with.default schemas.enable schema.content",
		"Schemas Serialization":     "Serialization Schemas",
		"linger.ms acks":            "acks linger.ms",
		"a b c d e f g h i j k l":   "a b c d e f g h i j k l",
		"p a q b r c s d t e u f v": "a b c d e f p q r s t u v",
	} {
		if got := strings.Join(hashOrder(strings.Fields(names)), " "); got != want {
			t.Errorf("%s: got %s, want %s", names, got, want)
		}
	}
}
