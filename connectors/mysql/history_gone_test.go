package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/testbed"
)

// TestDeletedHistoryTopic: a history without its beginning is none, so that a topic that is gone is never made again behind the connector's back.
func TestDeletedHistoryTopic(t *testing.T) {
	t.Parallel()
	broker := bed.Kafka(t)
	r := newRig(t, connectors.Config{"snapshot.mode": "initial"})
	topic := "history." + r.db
	delete(r.config, "schema.history.internal")
	for key, v := range testbed.HistoryOn(broker.Bootstrap(), topic) {
		r.config[key] = v
	}
	r.exec("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	r.start()
	r.until(1)
	r.stop()
	r.start()
	r.exec("INSERT INTO a VALUES (2)")
	r.until(2)
	if err := testbed.DeleteTopics(t.Context(), broker.Client(t), []string{topic}); err != nil {
		t.Fatal(err)
	}
	session := r.task.schema.history.(*kafkaHistory).session
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // the broker deletes in the background
		if _, err := session.Describe(t.Context(), topic); errors.Is(err, kafkaclient.ErrTopicMissing) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the topic is not deleted: %v", err)
		}
	}

	r.exec("ALTER TABLE a ADD COLUMN v INT", "INSERT INTO a VALUES (3, 3)")
	if err := r.pollError(); !strings.Contains(err.Error(), "schema history is missing") || !strings.Contains(err.Error(), "topic "+topic) {
		t.Errorf("while streaming: %v", err)
	}
	r.stop()
	err := r.tryStart()
	if err == nil {
		err = r.pollError()
	}
	for _, want := range []string{"The db history topic is missing. You may attempt to recover it by reconfiguring the connector to recovery", "topic " + topic} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("at the start: %v does not say %q", err, want)
		}
	}
	if connectors.ClassOf(err) != connectors.Permanent {
		t.Errorf("it is tried again: %v", err)
	}
}
