package testbed

import (
	"context"
	"errors"
	"net"
	"strconv"
)

// Local starts servers for a program instead of a test, in the host's network: what lies between client and server is
// loopback TCP alone, without the engine's proxy.
type Local struct {
	engine  *engine
	servers []interface{ terminate(context.Context) error }
}

// NewLocal connects to the container engine and removes what killed runs have left.
func NewLocal(ctx context.Context) (*Local, error) {
	e, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.removeLeftovers(ctx); err != nil {
		return nil, errors.Join(err, e.client.Close())
	}
	return &Local{engine: e}, nil
}

// Close removes the servers.
func (l *Local) Close(ctx context.Context) error {
	var errs []error
	for _, s := range l.servers {
		errs = append(errs, s.terminate(ctx))
	}
	l.servers = nil
	return errors.Join(append(errs, l.engine.client.Close())...)
}

// Postgres starts a PostgreSQL from the image "postgres" or "timescaledb"; settings as for StartPostgres.
func (l *Local) Postgres(ctx context.Context, image string, settings ...string) (*Postgres, error) {
	s, err := l.engine.start(ctx, spec{
		server:      image,
		environment: postgresEnvironment,
		command: func(port int) []string {
			return postgresCommand(append([]string{"port=" + strconv.Itoa(port), "listen_addresses=127.0.0.1"}, settings...))
		},
		ready: postgresReady,
	})
	if err != nil {
		return nil, err
	}
	l.servers = append(l.servers, s)
	return &Postgres{s}, nil
}

// Kafka starts a broker; settings are environment variables of its image, which win over the usual ones.
func (l *Local) Kafka(ctx context.Context, settings map[string]string) (*Kafka, error) {
	inner, err := freePort()
	if err != nil {
		return nil, err
	}
	controller, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := l.engine.start(ctx, spec{
		server: "kafka",
		environment: func(host string, port int) map[string]string {
			address := net.JoinHostPort(host, strconv.Itoa(port))
			env := kafkaEnvironment(address, nil)
			env["KAFKA_CONTROLLER_QUORUM_VOTERS"] = "1@127.0.0.1:" + strconv.Itoa(controller)
			env["KAFKA_LISTENERS"] = "CLIENT://" + address + ",BROKER://127.0.0.1:" + strconv.Itoa(inner) + ",CONTROLLER://127.0.0.1:" + strconv.Itoa(controller)
			env["KAFKA_ADVERTISED_LISTENERS"] = "CLIENT://" + address + ",BROKER://127.0.0.1:" + strconv.Itoa(inner)
			for name, value := range settings {
				env[name] = value
			}
			return env
		},
		ready: kafkaReady,
	})
	if err != nil {
		return nil, err
	}
	l.servers = append(l.servers, s)
	return &Kafka{s}, nil
}

// ContainerName is by which the engine's command finds the server.
func (p *Postgres) ContainerName() string { return p.container.GetContainerID() }
