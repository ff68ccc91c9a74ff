// Package rest plays the recorded conversations with Kafka Connect's REST API against workers of a cluster.
package rest

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-io/freshet/testbed"
	player "github.com/freshet-io/freshet/testbed/rest"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

const golden = "../../testdata/golden/rest"

// TestLeader plays every scenario against the leader of two workers, with the other one where a step asks for it.
func TestLeader(t *testing.T) {
	t.Parallel()
	workers := cluster(t, 2, nil)
	player.Play(t, golden, workers[0], workers[1], []string{"two-workers", "postgres", "disposable"}, database(t), only()...)
}

// TestFollower plays them against the other worker, which forwards what only the leader can do.
func TestFollower(t *testing.T) {
	t.Parallel()
	workers := cluster(t, 2, nil)
	player.Play(t, golden, workers[1], workers[0], []string{"two-workers", "postgres"}, database(t), only()...)
}

// only narrows a run by hand: FRESHET_REST_ONLY="04 06" plays the scenarios that begin so.
func only() []string { return strings.Fields(os.Getenv("FRESHET_REST_ONLY")) }

func TestBasicAuth(t *testing.T) {
	t.Parallel()
	users := testbed.WriteFile(t, t.TempDir(), "users.properties", "rec=rec\n")
	workers := cluster(t, 1, map[string]string{"freshet.rest.basic.auth.file": users})
	player.Play(t, golden, workers[0], "", []string{"basic-auth"}, map[string]string{"AUTH": "rec:rec"}, "16")
}

// TestFuzz sends ten thousand random requests, most of which are as the API's description says.
func TestFuzz(t *testing.T) {
	t.Parallel()
	workers := cluster(t, 1, nil)
	player.Fuzz(t, "../../docs/openapi.yaml", workers[0], 10000, 2, cause)
}

// causes are the texts of 500 that the reference has, too, for requests that are of the right shape: a validation without a class, and
// what the file connector says of offsets.
var causes = regexp.MustCompile(strings.Join([]string{
	`contains no connector type$`,
	`^Offsets cannot be modified if the 'file' configuration is unspecified`,
	`^Offset objects should either be null or contain the key 'position'`,
	`^The value for the 'position' key in the offset `,
	`^Partition objects `,
}, "|"))

func cause(_, _, message string) bool { return causes.MatchString(message) }

// cluster runs workers as processes, one after the other, so that the first one leads, and returns their URLs.
func cluster(t *testing.T, n int, more map[string]string) (urls []string) {
	t.Helper()
	kafka := bed.Kafka(t)
	dir := t.TempDir()
	properties := map[string]string{"offset.storage.partitions": "5", "offset.flush.interval.ms": "1000", "scheduled.rebalance.max.delay.ms": "10000"}
	maps.Copy(properties, more)
	file := testbed.WriteWorker(t, dir, kafka.Bootstrap(), kafka.NewTopic(t, 1, nil)+"-rest", properties)
	for range n {
		p := bed.Freshet(t, dir, "worker", "-c", file)
		url, _ := p.Ready()
		urls = append(urls, url)
		t.Cleanup(func() {
			if code := p.Stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if t.Failed() {
				t.Logf("freshet said:\n%s", p.Output())
			}
		})
	}
	return urls
}

// database makes what the scenarios with Postgres need, in the database that they were recorded with, and lets everybody in as
// that server did. It returns the variables.
func database(t *testing.T) map[string]string {
	t.Helper()
	postgres := bed.Postgres(t)
	prepare.Do(func() {
		postgres.Exec(t, "postgres", "create schema rest", "create table rest.t(id int primary key, v text)",
			"do $$ begin execute format('copy (select ''host all all all trust'') to %L', current_setting('hba_file')); end $$", "select pg_reload_conf()")
	})
	return map[string]string{
		"PGHOST": postgres.Host(), "PGPORT": strconv.Itoa(postgres.Port()), "PGUSER": testbed.PostgresUser, "PGPASSWORD": testbed.PostgresPassword,
	}
}

var prepare sync.Once
