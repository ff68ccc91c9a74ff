package plugins_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

// putOne puts one batch of rows.
func putOne(ctx context.Context, task connectors.SinkTask, s *connectortest.Session, rows int) error {
	b := connectortest.TenBatch(connectortest.Ten(), 0, rows)
	b.ID = s.Next()
	err := task.Put(ctx, b)
	if err != nil {
		b.Release()
	}
	return err
}

func TestFaultsOfASink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		class connectors.Class
		says  []string
	}{
		{"takes more than it was sent", connectors.Permanent, []string{"it took 18446744073709551615 bytes", "the plugin is at fault"}},
		{"releases what it does not have", connectors.Permanent, []string{"released batch 1, which it does not have"}},
		{"ends a flush that was not asked for", connectors.Permanent, []string{"ended flush 7, after 0 of"}},
		{"fails with a secret", connectors.Permanent, []string{"log in with [hidden]"}},
		{"fails without a cause", connectors.Retriable, []string{"without a text"}},
		{"dies in Put", connectors.Retriable, []string{"exit status 7"}},
		{"returns what it did not charge", connectors.Permanent, []string{"charges -101 bytes"}},
		{"charges more than there is", connectors.Permanent, []string{"bytes to the budget"}},
		{"rejects what it does not have", connectors.Permanent, []string{"rejects record 2147483648 of batch 9"}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, c.fault)
			task, session := v.sink(), &connectortest.Session{}
			if err := task.Start(v.bounded(), session); err != nil {
				t.Fatal(err)
			}
			if err := putOne(v.bounded(), task, session, 10); err != nil {
				t.Fatal(err)
			}
			if c.fault != "fails without a cause" { // it goes on
				if err := task.Flush(v.bounded()); err == nil || connectors.ClassOf(err) != c.class {
					t.Errorf("Flush: %v", err)
				}
			}
			v.eventually("the failure", func() bool { return session.Failure() != nil })
			v.refused(session.Failure(), c.class, c.says...)
			if err := task.Stop(v.bounded()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			if n := session.Charged(); n != 0 {
				t.Errorf("%d bytes are still charged", n)
			}
			v.gone()
		})
	}
}

// TestChargesAreBounded: a plugin takes no more of the budget that it shares with other tasks than it may, and gives it back.
func TestChargesAreBounded(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "charges without end")
	task, session := v.sink(), &connectortest.Session{}
	if err := task.Start(v.bounded(), session); err != nil {
		t.Fatal(err)
	}
	if err := putOne(v.bounded(), task, session, 10); err != nil {
		t.Fatal(err)
	}
	if err := task.Flush(v.bounded()); err != nil {
		t.Fatal(err)
	}
	v.eventually("charges", func() bool { return session.Charged() > 0 })
	if n := session.Charged(); n > 256<<20 {
		t.Errorf("%d bytes are charged", n)
	}
	if err := task.Stop(v.bounded()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if n := session.Charged(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// TestASinkThatReadsNothing: Put and Flush push back, and heed their contexts, also when more is on its way than fits into the connection.
func TestASinkThatReadsNothing(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"reads no batches", "hangs in Put", "says nothing without end"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, fault)
			task, session := v.sink(), &connectortest.Session{}
			if err := task.Start(v.bounded(), session); err != nil {
				t.Fatal(err)
			}
			if err := putOne(v.bounded(), task, session, 40_000); err != nil { // larger than every buffer between here and there
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := putOne(ctx, task, session, 10); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Put: %v", err)
			}
			if err := task.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Flush: %v", err)
			}
			if err := task.Stop(v.bounded()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			if err := session.Failure(); err != nil {
				t.Errorf("it failed: %v", err)
			}
			v.gone()
		})
	}
}

// TestValuesOfAValidation: passwords are hidden, whatever the plugin answers; what was asked about otherwise is shown as it is.
func TestValuesOfAValidation(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "is sound")
	_, sinks, err := v.Open(v.bounded(), v.logger())
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range sinks[0].Validate(v.bounded(), v.config()) {
		shown := "nothing"
		if value.Value != nil {
			shown = *value.Value
		}
		if want := map[string]string{"password": "nothing", "url": connectors.Hidden, "topic": connectors.Hidden}[value.Name]; shown != want {
			t.Errorf("%s is shown as %s", value.Name, shown)
		}
		for _, text := range value.Errors {
			v.discreet(text)
		}
	}
}
