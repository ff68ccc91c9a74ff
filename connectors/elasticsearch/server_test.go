package elasticsearch

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

// onServer is a started sink of a real server, whose index is named after prefix.
func onServer(t *testing.T, server *testbed.Search, more ...string) (*rig, string) {
	t.Helper()
	index := server.NewPrefix(t)
	return rigOn(t, settings(server.URL(), append([]string{keyBackoff, "10", keyFormat, index}, more...)...)), index
}

func documents(t *testing.T, server *testbed.Search, index string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for id, text := range server.Documents(t, index) {
		out[id] = string(text)
	}
	return out
}

func equal(t *testing.T, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("the documents are\n%v, not\n%v", got, want)
	}
}

// The same changes again, from any earlier place, give the same documents; a deleted document stays deleted.
func TestReplay(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server, keyInFlight, "3")
		var list []change
		want := map[string]string{}
		for n := range 300 {
			id := n * 7 % 20
			c := change{update, id, fmt.Sprint(n), at(1, uint64(n/3+1))}
			c.order.Minor = uint32(n % 3)
			want[fmt.Sprint(id)] = fmt.Sprintf(`{"id":%d,"text":"%d"}`, id, n)
			if n%9 == 4 {
				c.op = gone
				delete(want, fmt.Sprint(id))
			}
			list = append(list, c)
		}
		for from := 0; from < len(list); from += 60 {
			for at := from; at < len(list); at += 20 {
				r.put(list[at : at+20]...)
			}
			if err := r.flush(); err != nil {
				t.Fatal(err)
			}
			equal(t, documents(t, server, index), want)
		}
	})
}

// A truncate deletes what is older; when it comes again, what came after it stays.
func TestTruncate(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server, keyTruncate, "true")
		list := []change{
			{create, 1, "a", at(1, 5)}, {create, 2, "b", at(1, 6)}, {op: connectors.OpTruncate, order: at(1, 7)}, {create, 2, "c", at(1, 8)}, {create, 3, "d", at(1, 9)},
		}
		want := map[string]string{"2": `{"id":2,"text":"c"}`, "3": `{"id":3,"text":"d"}`}
		for range 2 {
			r.put(list...)
			if err := r.flush(); err != nil {
				t.Fatal(err)
			}
			equal(t, documents(t, server, index), want)
		}
	})
}

// A document whose routing changes moves; deletes find it.
func TestRouting(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server, keyRouting, "public.bets:text", "index.settings.number_of_shards", "5")
		send := func(op connectors.Op, id int, old, now string, major uint64) {
			w := connectors.NewBuilder(`{"server":"shop"}`, nil, nil)
			w.Begin(w.Stream(r.stream), op).Order = at(1, major)
			w.Key()
			w.Int(int64(id))
			if old != "" {
				w.Before()
				w.Int(int64(id))
				w.String(old)
			}
			if now != "" {
				w.After()
				w.Int(int64(id))
				w.String(now)
			}
			w.Commit()
			b := w.Finish("{}", connectors.Order{})
			b.ID = r.Next()
			if err := r.sink.Put(r.ctx(), b); err != nil {
				t.Fatal(err)
			}
		}
		for id := range 10 {
			send(create, id, "", "eu", 1)
			send(update, id, "eu", "us", 2)
		}
		for id := range 9 {
			send(gone, id, "us", "", 3)
		}
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		equal(t, documents(t, server, index), map[string]string{"9": `{"id":9,"text":"us"}`})
		r.Tolerant = true
		send(gone, 9, "", "", 4)
		send(update, 9, "", "eu", 5)
		send(connectors.OpRead, 8, "", "eu", 6)
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		equal(t, documents(t, server, index), map[string]string{"8": `{"id":8,"text":"eu"}`, "9": `{"id":9,"text":"us"}`})
		if len(r.Rejected()) != 2 {
			t.Fatalf("rejected: %v", r.Rejected())
		}
		for _, text := range r.Rejected() {
			if !strings.Contains(text, "column text of table public.bets, which routes documents") || !strings.Contains(text, "REPLICA IDENTITY FULL") {
				t.Errorf("rejected: %s", text)
			}
		}
	})
}

// withPrice is a table with one more column.
func withPrice(table *schemas.Table) *schemas.Table {
	wider := *table
	price := schemas.Column{Name: "price", Type: schemas.TypeDecimal, TypeName: "numeric(10,2)", Length: 10, Scale: 2, Optional: true}
	wider.Columns = append(slices.Clone(table.Columns), price)
	return &wider
}

// write hands over a new row of a form of the table; fill appends what comes behind its id.
func (r *rig) write(table *schemas.Table, id int64, fill func(w *connectors.Builder)) error {
	stream := *r.stream
	stream.Table = table
	w := connectors.NewBuilder(`{"server":"shop"}`, nil, nil)
	w.Begin(w.Stream(&stream), create).Order = at(1, 4+uint64(id))
	w.Key()
	w.Int(id)
	w.After()
	w.Int(id)
	fill(w)
	w.Commit()
	b := w.Finish("{}", connectors.Order{})
	b.ID = r.Next()
	err := r.sink.Put(r.ctx(), b)
	if err != nil {
		b.Release()
	}
	return err
}

// A new column is mapped before it is used; one whose type no longer fits is an error that says so.
func TestEvolution(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server, keyAliases, "${source.table}-"+"all", "index.settings.number_of_replicas", "0")
		r.put(change{create, 1, "a", at(1, 5)})
		wider := withPrice(r.stream.Table)
		if err := r.write(wider, 2, func(w *connectors.Builder) { w.String("b"); w.Text(connectors.KindDecimal, []byte("12.30")) }); err != nil {
			t.Fatal(err)
		}
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		equal(t, documents(t, server, index), map[string]string{"1": `{"id":1,"text":"a"}`, "2": `{"id":2,"text":"b","price":"12.30"}`})
		_, mapping := server.Do(t, "GET", "/"+index+"/_mapping", "")
		if !strings.Contains(mapping, `"price":{"type":"double"`) || !strings.Contains(mapping, `"dynamic":"strict"`) {
			t.Errorf("mapping %s", mapping)
		}
		if _, found := server.Do(t, "GET", "/bets-all/_alias", ""); !strings.Contains(found, index) {
			t.Errorf("alias: %s", found)
		}
		other := *wider
		other.Columns = append([]schemas.Column{}, wider.Columns...)
		other.Columns[2].Type, other.Columns[2].TypeName = schemas.TypeBool, "boolean"
		err := r.write(&other, 2, func(w *connectors.Builder) { w.String("b"); w.Bool(true) })
		if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "field price is mapped as double, which does not hold the values of column price of table public.bets (boolean is needed)") {
			t.Errorf("error %v", err)
		}
	})
}

// Every change is a document; a replay replaces them.
func TestAppend(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server, keyMode, modeAppend)
		list := []change{
			{connectors.OpRead, 1, "s", connectors.Order{Epoch: 1, Major: 4}},
			{connectors.OpRead, 2, "s", connectors.Order{Epoch: 1, Major: 4}},
			{update, 1, "a", at(1, 5)},
			{gone, 1, "", at(1, 6)},
			{op: connectors.OpTruncate, order: at(1, 7)},
		}
		for range 2 {
			r.put(list...)
			if err := r.flush(); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]int{}
		for _, text := range documents(t, server, index) {
			var doc map[string]any
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			if doc["@timestamp"] != "1970-01-01T00:00:00.000000Z" || len(fmt.Sprint(doc["__order"])) != 34 {
				t.Errorf("document %s", text)
			}
			got[fmt.Sprintf("%v %v %v", doc["__op"], doc["id"], doc["text"])]++
		}
		want := map[string]int{"r 1 s": 1, "r 2 s": 1, "u 1 a": 1, "d 1 <nil>": 1, "t <nil> <nil>": 1}
		if !maps.Equal(got, want) {
			t.Errorf("the documents are %v, not %v", got, want)
		}
	})
}

// The packaged Elasticsearch has no data streams.
func TestDataStream(t *testing.T) {
	t.Parallel()
	server := bed.OpenSearch(t)
	prefix := server.NewPrefix(t)
	name := "logs-" + prefix + "-shop.public.bets"
	config := settings(server.URL(), keyMode, modeAppend, keyStreamType, "LOGS", keyStreamSet, prefix)
	r := rigOn(t, config)
	t.Cleanup(func() {
		for _, path := range []string{"/_data_stream/", "/_index_template/freshet-"} {
			req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodDelete, server.URL()+path+name, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
		}
	})
	for range 2 {
		r.put(change{create, 1, "a", at(1, 5)}, change{update, 1, "b", at(1, 6)})
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if found := documents(t, server, name); len(found) != 2 {
		t.Errorf("the documents are %v", found)
	}
	// A new column is in the indices that rollovers make, and is added to one that lacks it.
	wider := withPrice(r.stream.Table)
	for id := range int64(4) {
		switch id {
		case 1:
			server.Do(t, http.MethodPost, "/"+name+"/_rollover", "")
		case 2:
			server.Do(t, http.MethodPut, "/_index_template/freshet-"+name, `{"index_patterns":["`+name+`"],"data_stream":{},"priority":500}`)
			server.Do(t, http.MethodPost, "/"+name+"/_rollover", "")
			server.Do(t, http.MethodPut, "/"+name+"/_mapping?write_index_only=true", `{"dynamic":"strict"}`)
			r = rigOn(t, config)
		}
		if err := r.write(wider, 10+id, func(w *connectors.Builder) { w.String("c"); w.Text(connectors.KindDecimal, []byte("1.50")) }); err != nil {
			t.Fatal(err)
		}
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if found := documents(t, server, name); len(found) != 6 {
		t.Errorf("the documents are %v", found)
	}
}

// A table without a key, and a value that was not sent, are refused.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r, _ := onServer(t, bed.Elasticsearch(t))
	keyless := *r.stream
	keyless.KeyFields = nil
	w := connectors.NewBuilder(`{"server":"shop"}`, nil, nil)
	w.Begin(w.Stream(&keyless), create).Order = at(1, 5)
	w.After()
	w.Int(1)
	w.String("a")
	w.Commit()
	b := w.Finish("{}", connectors.Order{})
	err := r.sink.Put(r.ctx(), b)
	b.Release()
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "message.key.columns") {
		t.Errorf("error %v", err)
	}
	r.Tolerant = true
	w = connectors.NewBuilder(`{"server":"shop"}`, nil, nil)
	w.Begin(w.Stream(r.stream), update).Order = at(1, 5)
	w.Key()
	w.Int(1)
	w.After()
	w.Int(1)
	w.Unavailable()
	w.Commit()
	b = w.Finish("{}", connectors.Order{})
	b.ID = 1
	if err := r.sink.Put(r.ctx(), b); err != nil {
		t.Fatal(err)
	}
	if len(r.Rejected()) != 1 || !strings.Contains(r.Rejected()[0], "column text of table public.bets") || !strings.Contains(r.Rejected()[0], "ALTER TABLE public.bets REPLICA IDENTITY FULL") {
		t.Errorf("rejected: %v", r.Rejected())
	}
}

// An index that is deleted is not written to as the server would make it.
func TestDeletedIndex(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server *testbed.Search) {
		for name, again := range map[string]bool{"somebody has deleted the index": false, "deleted and made again": true} {
			r, index := onServer(t, server, keyInFlight, "1")
			r.put(change{create, 1, "a", at(1, 5)})
			if err := r.flush(); err != nil {
				t.Fatal(err)
			}
			r.sink.lanes[0].looked = time.Time{} // a while ago
			server.Do(t, http.MethodDelete, "/"+index, "")
			if again {
				server.Do(t, http.MethodPut, "/"+index+"/_doc/9", `{"other":"mapping"}`)
			}
			r.put(change{create, 2, "b", at(1, 6)})
			err := r.flush()
			if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), index) || !strings.Contains(fmt.Sprint(err), name) {
				t.Errorf("error %v", err)
			}
			if status, text := server.Do(t, http.MethodGet, "/"+index+"/_doc/2", ""); status != http.StatusNotFound {
				t.Errorf("the document was written: %s", text)
			}
			if again {
				server.Do(t, http.MethodDelete, "/"+index, "")
			}
			r = rigOn(t, settings(server.URL(), keyFormat, index))
			r.put(change{create, 2, "b", at(1, 6)})
			if err := r.flush(); err != nil {
				t.Fatal(err)
			}
			if _, mapping := server.Do(t, http.MethodGet, "/"+index+"/_mapping", ""); !strings.Contains(mapping, `"dynamic":"strict"`) {
				t.Errorf("mapping %s", mapping)
			}
		}
	})
}

// A refusal of the server names the column, where its reason does.
func TestRefusedColumn(t *testing.T) {
	t.Parallel()
	table := &schemas.Table{Columns: []schemas.Column{{Name: "stake"}, {Name: "a.b"}, {Name: "odds"}}}
	for reason, want := range map[string]string{
		"failed to parse field [stake] of type [long] in document with id '1'":                    "stake",
		"failed to parse field [stake.keyword] of type [keyword]":                                 "stake",
		"object mapping for [a.b] tried to parse field [x] as object, but found a concrete value": "a.b",
		"mapping set to strict, dynamic introduction of [odds] within [_doc] is not allowed":      "odds",
		"[1:9] mapping set to strict, dynamic introduction of [new] within [a.b] is not allowed":  "",
		`Document contains at least one immense term in field="stake" (whose UTF8 encoding is …)`: "stake",
		"failed to parse": "",
		"failed to parse field [nothing.of.the.sort] of type": "",
	} {
		if got := refusedColumn(reason, table); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
	servers(t, func(t *testing.T, server *testbed.Search) {
		r, index := onServer(t, server)
		r.Tolerant = true
		server.Do(t, http.MethodPut, "/"+index, `{"mappings":{"properties":{"text":{"type":"keyword"}}}}`)
		r.put(change{create, 1, strings.Repeat("x", 40000), at(1, 5)})
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		if len(r.Rejected()) != 1 || !strings.Contains(r.Rejected()[0], "(table public.bets, column text): the server answered 400") {
			t.Errorf("rejected: %.300q", r.Rejected())
		}
	})
}

// The node is killed while documents are written, and comes again: all are there.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	server := testbed.StartElasticsearch(t)
	r, index := onServer(t, server, keyInFlight, "3", keyConnect, "500", keyRead, "5000")
	want := map[string]string{}
	for n := range 200 {
		r.put(change{update, n % 50, fmt.Sprint(n), at(1, uint64(n+1))})
		want[fmt.Sprint(n%50)] = fmt.Sprintf(`{"id":%d,"text":"%d"}`, n%50, n)
		if n == 100 {
			server.Kill(t)
		}
		if n == 150 {
			server.Restart(t)
		}
	}
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	equal(t, documents(t, server, index), want)
}
