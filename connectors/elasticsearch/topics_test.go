package elasticsearch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

// record is one of a topic.
type record struct {
	key, value schemas.Typed
	offset     uint64
	version    string // header
}

// putRecords hands over records as topics have them.
func (r *rig) putRecords(stream *connectors.Stream, list ...record) error {
	return r.putHistory(1, stream, list...)
}

// putHistory is putRecords for the topic with this name that was made so many times.
func (r *rig) putHistory(epoch uint32, stream *connectors.Stream, list ...record) error {
	w := connectors.NewBuilder(`{"kafka_partition":3,"kafka_topic":"Bets"}`, nil, nil)
	s := w.Stream(stream)
	for _, rec := range list {
		at := w.Body(s, connectors.OpNone, connectors.Body{Key: rec.key, Value: rec.value})
		at.Order, at.KafkaPartition, at.Timestamp = connectors.Order{Epoch: epoch, Major: rec.offset, Minor: 1}, 3, 1709210096123000000
		if rec.version != "" {
			w.Headers()
			w.String("version")
			w.String(rec.version)
			w.Records()[w.Len()-1].Headers = w.Record().Headers
		}
	}
	b := w.Finish("{}", connectors.Order{})
	b.ID = r.Next()
	err := r.sink.Put(r.ctx(), b)
	if err != nil {
		b.Release()
		return err
	}
	return r.flush()
}

func textKey(v string) schemas.Typed {
	return schemas.Typed{Schema: &schemas.Schema{Kind: schemas.String}, Value: v}
}

func idKey(id int64) schemas.Typed {
	return schemas.Typed{Schema: &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "id", Schema: &schemas.Schema{Kind: schemas.Int64}}}}, Value: schemas.StructValue{id}}
}

func betRow(id int64, text string) schemas.Typed {
	return schemas.Typed{Schema: betSchema(), Value: schemas.StructValue{id, text}}
}

func betSchema() *schemas.Schema {
	return &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "id", Schema: &schemas.Schema{Kind: schemas.Int64}}, {Name: "text", Schema: &schemas.Schema{Kind: schemas.String, Optional: true}}}}
}

// Rows of a topic become the documents of a mirror; a tombstone deletes; a replay changes nothing.
func TestMirrorOfATopic(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server)
		stream := &connectors.Stream{Topic: "Bets"}
		for range 2 {
			if err := r.putRecords(stream,
				record{idKey(9), schemas.Typed{}, 1, ""}, // of a topic that was compacted
				record{idKey(1), betRow(1, "a"), 5, ""}, record{idKey(2), betRow(2, "b"), 6, ""}, record{idKey(1), betRow(1, "c"), 7, ""}, record{idKey(2), schemas.Typed{}, 8, ""}); err != nil {
				t.Fatal(err)
			}
			equal(t, documents(t, server, index), map[string]string{"1": `{"id":1,"text":"c"}`})
		}
	})
}

// A delete of a topic whose old row has NULL in place of what its source did not send is not routed by that.
func TestRoutingOfATopic(t *testing.T) {
	text := &schemas.Schema{Kind: schemas.String}
	source := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "schema", Schema: text}, {Name: "table", Schema: text}}}
	envelope := func(op string, before, after schemas.Value) schemas.Typed {
		row := *betSchema()
		row.Optional = true
		return schemas.Typed{Schema: &schemas.Schema{Kind: schemas.Struct, Name: "shop.public.bets.Envelope", Fields: []schemas.Field{
			{Name: "before", Schema: &row}, {Name: "after", Schema: &row}, {Name: "op", Schema: text}, {Name: "source", Schema: source},
		}}, Value: schemas.StructValue{before, after, op, schemas.StructValue{"public", "bets"}}}
	}
	row := func(id int64, text schemas.Value) schemas.Value { return schemas.StructValue{id, text} }
	server := newFake(t)
	r := newRig(t, server, keyRouting, "text")
	r.Tolerant = true
	if err := r.putRecords(&connectors.Stream{Topic: "Bets"},
		record{idKey(1), envelope("c", nil, row(1, "eu")), 1, ""}, record{idKey(2), envelope("r", nil, row(2, "eu")), 2, ""}, record{idKey(3), envelope("c", nil, row(3, "eu")), 3, ""},
		record{idKey(1), envelope("u", row(1, "eu"), row(1, "us")), 4, ""},
		record{idKey(1), envelope("d", row(1, nil), nil), 5, ""}, record{idKey(2), envelope("u", nil, row(2, "us")), 6, ""}, record{idKey(3), envelope("d", row(3, "eu"), nil), 7, ""}); err != nil {
		t.Fatal(err)
	}
	r.holds(map[string]string{"1": "us", "2": "eu"})
	if text := strings.Join(r.Rejected(), "\n"); len(r.Rejected()) != 2 || strings.Count(text, "REPLICA IDENTITY FULL") != 2 {
		t.Errorf("rejected: %s", text)
	}
}

// Offsets of a topic that was made again are lower than those of the one before, and its records newer.
func TestTopicMadeAgain(t *testing.T) {
	stream := &connectors.Stream{Topic: "Bets"}
	for _, mode := range []string{modeMirror, modeReference} {
		server := newFake(t)
		r := newRig(t, server, keyMode, mode)
		for epoch, text := range []string{"old", "new", "newest"} {
			if err := r.putHistory(uint32(epoch+1), stream, record{textKey("x"), betRow(1, text), uint64(9 - epoch), ""}); err != nil {
				t.Fatal(err)
			}
			for id, doc := range server.docs {
				if len(server.docs) != 1 || !strings.Contains(string(doc), `"`+text+`"`) {
					t.Errorf("%s: document %s is %s, want %s", mode, id, doc, text)
				}
			}
		}
	}
}

// Record values become documents as Confluent's connector makes them.
func TestReference(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		stream := &connectors.Stream{Topic: "Bets"}
		list := []record{{textKey("x"), betRow(1, "a"), 5, "50"}, {textKey("y"), betRow(2, "b"), 6, "60"}, {textKey("x"), betRow(3, "c"), 7, "40"}}
		for name, c := range map[string]struct {
			keys []string
			want map[string]string
		}{
			"keys":    {nil, map[string]string{"x": `{"id":3,"text":"c"}`, "y": `{"id":2,"text":"b"}`}},
			"version": {[]string{keyVersion, "version"}, map[string]string{"x": `{"id":1,"text":"a"}`, "y": `{"id":2,"text":"b"}`}},
			"offsets": {[]string{keyIgnoreKeys, "Bets"}, map[string]string{"Bets+3+5": `{"id":1,"text":"a"}`, "Bets+3+6": `{"id":2,"text":"b"}`, "Bets+3+7": `{"id":3,"text":"c"}`}},
			"upsert":  {[]string{keyMethod, "UPSERT"}, map[string]string{"x": `{"id":3,"text":"c"}`, "y": `{"id":2,"text":"b"}`}},
		} {
			t.Run(name, func(t *testing.T) {
				r, _ := onServer(t, server, append([]string{keyMode, modeReference, keyFormat, server.NewPrefix(t) + "-${topic}"}, c.keys...)...)
				index := strings.ReplaceAll(r.sink.cfg.format, "${topic}", "bets")
				for range 2 {
					if err := r.putRecords(stream, list...); err != nil {
						t.Fatal(err)
					}
					equal(t, documents(t, server, index), c.want)
				}
				_, mapping := server.Do(t, "GET", "/"+index+"/_mapping", "")
				if !strings.Contains(mapping, `"id":{"type":"long"}`) || !strings.Contains(mapping, `"text":{"type":"text","fields":{"keyword":`) {
					t.Errorf("mapping %s", mapping)
				}
			})
		}
	})
}

func TestReferenceNulls(t *testing.T) {
	stream := &connectors.Stream{Topic: "Bets"}
	for behaviour, want := range map[string]string{"FAIL": "has a null value (to ignore future records like this change the configuration property 'behavior.on.null.values'", "IGNORE": "", "DELETE": ""} {
		server := newFake(t)
		r := newRig(t, server, keyMode, modeReference, keyNulls, behaviour)
		r.Tolerant = true
		if err := r.putRecords(stream, record{textKey("x"), betRow(1, "a"), 5, ""}, record{textKey("x"), schemas.Typed{}, 6, ""}, record{schemas.Typed{}, betRow(1, "a"), 7, ""}); err != nil {
			t.Fatal(err)
		}
		rejected := strings.Join(r.Rejected(), "\n")
		if !strings.Contains(rejected, want) || !strings.Contains(rejected, "Key is used as document id and can not be null.") || len(r.Rejected()) != map[bool]int{true: 2, false: 1}[want != ""] {
			t.Errorf("%s: rejected: %s", behaviour, rejected)
		}
		if left := len(server.docs); left != map[bool]int{true: 0, false: 1}[behaviour == "DELETE"] {
			t.Errorf("%s: %d documents", behaviour, left)
		}
	}
}

// The default mode follows from the class and from where the records come.
func TestDefaultMode(t *testing.T) {
	for _, c := range []struct {
		class  string
		shared bool
		given  string
		want   string
	}{
		{referenceClass, true, "", modeReference},
		{referenceClass, true, modeMirror, modeMirror},
		{referenceClass, false, "", modeMirror},
		{"ElasticsearchSinkConnector", true, "", modeMirror},
	} {
		config := settings("http://127.0.0.1:1")
		if c.given != "" {
			config[keyMode] = c.given
		}
		task, err := Factory{}.NewSink(config, connectors.Settings{Class: c.class, Shared: c.shared})
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := task.(*sink); !ok || s.cfg.mode != c.want {
			t.Errorf("%+v: mode %s", c, s.cfg.mode)
		}
	}
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		keys []string
		text string
	}{
		{[]string{keyURL, "ftp://x"}, "each address must be http://host:port"},
		{[]string{keyURL, "localhost:9200"}, "the scheme included"},
		{[]string{keyURL, "http://a:9200,u:hidden-two@b:9200"}, "the scheme included"},
		{[]string{keyStreamType, "LOGS", keyStreamSet, "d"}, "a data stream takes no updates"},
		{[]string{keyUsage, "INDEX"}, "external.resource.usage=INDEX needs topic.to.external.resource.mapping"},
		{[]string{keyResources, "a:b,a:c"}, "Topic 'a' is mapped to multiple resources"},
		{[]string{keyUser, "u"}, "must both be given"},
		{[]string{keyFormat, "${nothing}"}, "${nothing} is not known"},
		{[]string{"kerberos.keytab.path", "x.keytab"}, "not supported yet: Kerberos"},
		{[]string{keyTLS + "ssl.provider", "X"}, "not supported yet"},
		{[]string{keyBatch, "0"}, "between 1 and 1000000"},
	} {
		got := fmt.Sprint(connectors.Errors(Factory{}.Validate(t.Context(), settings("http://127.0.0.1:1", c.keys...))))
		if !strings.Contains(got, c.text) {
			t.Errorf("%v: %s", c.keys, got)
		}
	}
	if shown := withoutPasswords("http://u:secret@a:1,b:2,http://%zz:secret@c"); strings.Contains(shown, "secret") || !strings.Contains(shown, "b:2") {
		t.Errorf("shown: %s", shown)
	}
	for name, want := range map[string]string{"Shop.Public.Bets": "shop.public.bets", "_x": "x", "-X": "x", "..": "dotdot", "a b": ""} {
		if got, err := indexName(name); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
