package golden

import (
	"fmt"
	"slices"
	"strings"
)

// row rewrites a row of any file of a recording.
func (n *normalizer) row(r *object) {
	failed, _ := r.text("after")
	_, listKey := r.get("key").(*array)
	value := r.object("value")
	switch {
	case r.hasAll("topic", "headers"):
		n.record(r)
	case r.hasAll("topic", "source"):
		if s := r.object("source"); s != nil {
			n.offset(s.get("offset"))
		}
	case listKey:
		n.offset(r.get("value"))
	case value != nil && value.has("position"):
		n.offset(value.get("position"))
		n.stamps(value)
	case failed == "failed":
		n.failure(r)
	default:
		list, _ := r.object("offsets").list("offsets")
		for _, x := range list {
			if o, ok := x.(*object); ok {
				n.offset(o.get("offset"))
			}
		}
	}
}

func (o *object) list(name string) ([]any, bool) {
	if o == nil {
		return nil, false
	}
	a, ok := o.get(name).(*array)
	if !ok {
		return nil, false
	}
	return a.items, true
}

func (n *normalizer) failure(r *object) {
	cut := func(v any) any {
		s, ok := v.(string)
		if !ok {
			return v
		}
		return digits.ReplaceAllString(uuid.ReplaceAllString(s, "<uuid>"), "<n>")
	}
	r.set("trace", cut(r.get("trace")))
	causes, _ := r.list("causes")
	for i := range causes {
		causes[i] = cut(causes[i])
	}
}

// payload is the object to look at: the payload of a value with its schema, or the value itself.
func payload(v any) *object {
	o, _ := v.(*object)
	if o != nil && o.hasOnly("schema", "payload") {
		return o.object("payload")
	}
	return o
}

func (n *normalizer) record(r *object) {
	topic, _ := r.text("topic")
	n.key(topic, r.get("key"), r.get("value"))
	n.value(r.get("value"))
	headers, _ := r.list("headers")
	for _, h := range headers {
		pair, ok := h.(*array)
		if !ok || len(pair.items) != 2 {
			continue
		}
		name, _ := pair.items[0].(string)
		text, ok := pair.items[1].(string)
		if !ok {
			continue
		}
		if name == "__debezium.context.runId" {
			pair.items[1] = uuid.ReplaceAllStringFunc(text, func(m string) string { return n.nth("runId", m) })
			continue
		}
		at := place{array: pair, index: 1}
		n.metadata(name, at)
		n.userText(at)
	}
}

func (n *normalizer) key(topic string, key, value any) {
	p := payload(key)
	if p == nil {
		return
	}
	n.userData(p)
	if !p.hasOnly("id") {
		return
	}
	q, _ := value.(*object)
	if q != nil && q.has("payload") {
		q = q.object("payload")
	}
	if q != nil && q.hasAll("status", "event_count") {
		status, _ := q.text("status")
		n.transaction(member(p, "id"), status)
	} else if id, ok := p.text("id"); ok && onlyUUID.MatchString(id) && strings.Contains(topic, "notif") {
		p.set("id", n.uuids(id))
	}
}

func (n *normalizer) value(v any) {
	p := payload(v)
	if p == nil {
		return
	}
	if text, _ := p.text("$text"); p.hasOnly("$text") && strings.HasPrefix(text, "Struct{") { // string converter
		text = structNumbers.ReplaceAllString(text, "$1=<n>")
		text = structVersion.ReplaceAllString(text, "version=<version>")
		p.set("$text", structSequence.ReplaceAllString(text, "$1<lsns>"))
		return
	}
	source := p.object("source")
	switch {
	case source != nil && source.has("connector"):
		n.source(source)
		n.stamps(p)
		for _, name := range []string{"before", "after"} {
			if image := p.object(name); image != nil {
				n.userData(image)
				n.flat(image)
			}
		}
	case p.hasOnly("ts_ms"):
		n.stamps(p)
	case p.hasAll("status", "event_count"):
		n.boundary(p)
	case p.hasAll("aggregate_type", "timestamp"):
		n.notification(p)
	case p.hasAll("specversion", "id", "source", "type"):
		n.cloudEvent(p)
	default:
		n.userData(p)
	}
	if t := p.object("transaction"); t != nil {
		n.transaction(member(t, "id"), "")
	}
	n.flat(p)
}

// boundary is a BEGIN or END of transaction metadata. The reference lists its collections in hash order.
func (n *normalizer) boundary(p *object) {
	n.stamps(p)
	n.transaction(member(p, "id"), "")
	collections, _ := p.list("data_collections")
	for _, c := range collections {
		if o, ok := c.(*object); ok {
			if name, ok := o.text("data_collection"); ok {
				o.set("data_collection", identity(name))
			}
		}
	}
	slices.SortStableFunc(collections, func(a, b any) int { return strings.Compare(dump(a), dump(b)) })
}

func (n *normalizer) notification(p *object) {
	p.set("timestamp", "<ts>")
	if data := p.object("additional_data"); data != nil {
		slices.Sort(data.names)
	}
	if id, ok := p.text("id"); ok {
		p.set("id", n.uuids(id))
	}
}

func (n *normalizer) cloudEvent(p *object) {
	if id, ok := p.text("id"); ok {
		p.set("id", uuid.ReplaceAllString(digits.ReplaceAllString(id, "<n>"), "<uuid>"))
	}
	p.set("time", "<ts>")
	for _, name := range p.names {
		short, ok := strings.CutPrefix(name, "iodebezium")
		v := p.get(name)
		if !ok || v == nil {
			continue
		}
		if cloudNumber.MatchString(short) {
			p.set(name, fmt.Sprintf("<%s:%s>", short, kind(v)))
		} else if cloudText.MatchString(short) {
			p.set(name, "<"+short+">")
		}
	}
}

// kind names a value's type.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case integer:
		return "int"
	case *array:
		return "list"
	case *object:
		return "dict"
	default:
		return "str"
	}
}

// userData rewrites the rows of signalling tables: random window ids and times.
func (n *normalizer) userData(v any) {
	switch v := v.(type) {
	case *object:
		for _, name := range v.names {
			if _, ok := v.get(name).(string); ok {
				n.userText(member(v, name))
			} else {
				n.userData(v.get(name))
			}
		}
	case *array:
		for _, x := range v.items {
			n.userData(x)
		}
	}
}

func (n *normalizer) userText(at place) {
	s, ok := at.get().(string)
	if !ok {
		return
	}
	if windowID.MatchString(s) {
		at.set(n.uuids(s))
	} else if strings.Contains(s, "WindowTimestamp") {
		at.set(windowTime.ReplaceAllString(s, "$1<ts>"))
	}
}

// flat rewrites metadata that transforms copied into rows under the prefix __.
func (n *normalizer) flat(o *object) {
	for _, name := range o.names {
		n.metadata(name, member(o, name))
	}
}

func (n *normalizer) metadata(name string, at place) {
	if !strings.HasPrefix(name, "__") {
		return
	}
	short := strings.TrimLeft(name, "_")
	v := at.get()
	text, isText := v.(string)
	switch {
	case flatTime.MatchString(short):
		if _, ok := v.(integer); ok {
			at.set("<ts>")
		} else if isText && onlyDigits.MatchString(text) {
			at.set("<ts:str>")
		}
	case flatLSN.MatchString(short) && v != nil:
		at.set("<lsn:" + kind(v) + ">")
	case flatTx.MatchString(short):
		n.ranked(at, "txId")
	case flatPos.MatchString(short) && v != nil:
		at.set("<pos>")
	case flatFile.MatchString(short) && isText:
		at.set("<file>." + extension(text))
	case flatVersion.MatchString(short):
		at.set("<version>")
	case short == "transaction_id":
		n.transaction(at, "")
	case flatOther.MatchString(short) && v != nil:
		at.set("<" + short + ">")
	}
}

// declared replaces what the scenario declares volatile: a path; with a final ? its null-ness is not compared either.
func (n *normalizer) declared(r *object) {
	for _, path := range n.volatile {
		current := r
		for _, part := range path[:len(path)-1] {
			if current == nil {
				break
			}
			current = current.object(part)
		}
		name, either := strings.CutSuffix(path[len(path)-1], "?")
		if current == nil || !current.has(name) {
			continue
		}
		if v := current.get(name); either {
			current.set(name, "<any>")
		} else if v != nil {
			current.set(name, "<"+kind(v)+">")
		}
	}
}
