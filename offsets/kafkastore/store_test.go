package kafkastore

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

const plain = offsets.Partition(`{"server":"orders"}`)

func open(t *testing.T, cluster *kfake.Cluster, topic string) (*Store, error) {
	t.Helper()
	cfg, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": strings.Join(cluster.ListenAddrs(), ",")})
	if err != nil {
		t.Fatal(err)
	}
	var pool kafkaclient.Pool
	session, err := pool.Open(limit(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	s, err := Open(limit(t), Options{Session: session, Config: cfg, Topic: topic, Partitions: 3, Replication: 1})
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func mustOpen(t *testing.T, cluster *kfake.Cluster) *Store {
	t.Helper()
	s, err := open(t, cluster, "connect-offsets")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func load(t *testing.T, s *Store, connector string, p ...offsets.Partition) string {
	t.Helper()
	es, err := s.Load(limit(t), connector, p...)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, string(e.Partition)+"="+string(e.Offset))
	}
	return strings.Join(out, " ")
}

func save(t *testing.T, s *Store, connector string, es ...offsets.Entry) {
	t.Helper()
	if err := s.Save(limit(t), connector, es); err != nil {
		t.Fatal(err)
	}
}

func TestStoreKeepsOffsetsAcrossWorkers(t *testing.T) {
	c := cluster(t)
	a, b := mustOpen(t, c), mustOpen(t, c)
	save(t, a, "one", offsets.Entry{Partition: plain, Offset: `{"lsn":1}`}, offsets.Entry{Partition: `{"server":"x"}`, Offset: `{"lsn":5}`})
	save(t, a, "two", offsets.Entry{Partition: plain, Offset: `{"lsn":9}`})
	save(t, a, "one", offsets.Entry{Partition: plain, Offset: `{"lsn":2,"a":"b"}`})
	for name, s := range map[string]*Store{"writer": a, "other": b, "new": mustOpen(t, c)} {
		if got := load(t, s, "one"); got != `{"server":"orders"}={"lsn":2,"a":"b"} {"server":"x"}={"lsn":5}` {
			t.Errorf("%s: %s", name, got)
		}
		if got := load(t, s, "two", plain, `{"server":"none"}`); got != `{"server":"orders"}={"lsn":9}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	save(t, b, "one", offsets.Entry{Partition: plain})
	for name, s := range map[string]*Store{"writer": b, "other": a, "new": mustOpen(t, c)} {
		if got := load(t, s, "one"); got != `{"server":"x"}={"lsn":5}` {
			t.Errorf("%s after delete: %s", name, got)
		}
	}
}

// Another runtime may spell a partition differently; it is rewritten and deleted under the bytes that were read.
func TestStoreKeepsForeignKeyBytes(t *testing.T) {
	c := cluster(t)
	s := mustOpen(t, c)
	var log bytes.Buffer
	s.logger = slog.New(slog.NewTextHandler(&log, nil))
	const foreign = `["one", {"table":"t","server":"orders"}]`
	const p = offsets.Partition(`{"server":"orders","table":"t"}`)
	err := s.log.AppendAll(limit(t), []kafkaclient.Message{
		{Key: []byte(foreign), Value: []byte(`{"pos": 1}`)},
		{Key: []byte(`not json`), Value: []byte(`{}`)},
		{Key: []byte(`["one",{"server":["nested"]}]`), Value: []byte(`{}`)},
		{Key: []byte(`["one",{"server":"bad"}]`), Value: []byte(`17`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := load(t, s, "one"); got != string(p)+`={"pos":1}` {
		t.Errorf("loaded %s", got)
	}
	if got := load(t, s, "one"); got != string(p)+`={"pos":1}` {
		t.Errorf("loaded %s", got)
	}
	places := regexp.MustCompile(`topic=connect-offsets partition=\d+ offset=\d+ error=`)
	for _, what := range []string{`not json`, `nested`, `bad`} {
		var of []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, what) {
				of = append(of, line)
			}
		}
		if len(of) != 1 || !places.MatchString(of[0]) {
			t.Errorf("%s is told of %d times, want once with its place: %q", what, len(of), of)
		}
	}
	save(t, s, "one", offsets.Entry{Partition: p, Offset: `{"pos":2}`})
	save(t, s, "one", offsets.Entry{Partition: p})
	save(t, s, "one", offsets.Entry{Partition: p}) // nothing is there, nothing is written
	var history []string
	err = s.log.ReadToEnd(limit(t), func(_ int32, m kafkaclient.Message) error {
		if strings.Contains(string(m.Key), "table") {
			history = append(history, string(m.Key)+"="+string(m.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(history, "; "); got != foreign+`={"pos": 1}; `+foreign+`={"pos":2}; `+foreign+"=" {
		t.Errorf("records: %s", got)
	}
}

func TestStoreRefusesATopicThatForgets(t *testing.T) {
	c := cluster(t)
	if err := c.CreateTopic("connect-offsets", 1, map[string]string{"cleanup.policy": "delete"}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, c, "connect-offsets"); err == nil || !strings.Contains(err.Error(), "cleanup.policy=delete") {
		t.Errorf("error = %v", err)
	}
}

func TestStoreIsCompacted(t *testing.T) {
	c := cluster(t)
	mustOpen(t, c)
	if got := c.TopicInfo("connect-offsets"); got == nil || got.Configs["cleanup.policy"] == nil || *got.Configs["cleanup.policy"] != "compact" {
		t.Errorf("topic %+v", got)
	}
}
