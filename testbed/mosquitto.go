package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// Mosquitto is an MQTT broker that everybody may use. It keeps nothing over Kill and Restart.
type Mosquitto struct{ *server }

// StartMosquitto starts an MQTT broker for this test alone.
func StartMosquitto(t testing.TB) *Mosquitto {
	t.Helper()
	return run(t, startMosquitto)
}

func startMosquitto(ctx context.Context, e *engine) (*Mosquitto, error) {
	s, err := e.start(ctx, spec{
		server: "mosquitto", inside: "1883/tcp",
		command: func(int) []string { return []string{"/usr/sbin/mosquitto", "-c", "/mosquitto-no-auth.conf"} },
		ready:   mosquittoReady,
	})
	if err != nil {
		return nil, err
	}
	return &Mosquitto{s}, nil
}

// mosquittoReady sends a CONNECT of MQTT 3.1.1 and waits for the broker to accept it.
func mosquittoReady(ctx context.Context, address string) error {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it was for a look
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := c.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	var answer [4]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return fmt.Errorf("read the answer to CONNECT: %w", err)
	}
	if answer != [4]byte{0x20, 2, 0, 0} {
		return errors.New("the broker refuses connections")
	}
	return nil
}
