package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// Peers makes the requests that a worker has for others on its own behalf, signed with the key of the group (reference §1.5).
type Peers struct {
	client *http.Client
	sign   func(body []byte) (signature, algorithm string, err error)
}

// Peers returns what makes requests to other workers; sign is the herder's.
func (c *Config) Peers(sign func(body []byte) (signature, algorithm string, err error)) *Peers {
	return &Peers{c.client(), sign}
}

// PutTasks gives the leader the task configurations of a connector.
func (p *Peers) PutTasks(ctx context.Context, leader, name string, tasks []connectors.Config) error {
	body, err := json.Marshal(tasks)
	if err != nil {
		return fmt.Errorf("write task configurations: %w", err)
	}
	return p.ask(ctx, http.MethodPost, leader, name, "tasks", body)
}

// Fence asks the leader to fence the earlier tasks of a connector.
func (p *Peers) Fence(ctx context.Context, leader, name string) error {
	return p.ask(ctx, http.MethodPut, leader, name, "fence", nil)
}

// ask makes a request to the leader, which sends it on if another worker leads by now.
func (p *Peers) ask(ctx context.Context, method, leader, name, what string, body []byte) error {
	signature, algorithm, err := p.sign(body)
	if err != nil {
		return fmt.Errorf("sign a request to the leader: %w", err)
	}
	to := strings.TrimSuffix(leader, "/") + "/connectors/" + url.PathEscape(name) + "/" + what
	q, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make a request to the leader: %w", err)
	}
	q.Header.Set("User-Agent", "kafka-connect")
	q.Header.Set("Accept", jsonType)
	q.Header.Set("Content-Type", jsonType)
	q.Header.Set(headerSignature, signature)
	q.Header.Set(headerAlgorithm, algorithm)
	reply, err := p.client.Do(q)
	if err != nil {
		return fmt.Errorf("ask the leader: %w", err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the leader's answer: %w", err)
	}
	_, err = readForwarded(reply.StatusCode, text)
	return err
}

// Close ends idle connections.
func (p *Peers) Close() { p.client.CloseIdleConnections() }
