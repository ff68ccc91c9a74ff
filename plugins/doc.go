// Package plugins makes a connector in another process look like one in this process, and the reverse.
//
// A worker starts a process for each task (Command), which serves the calls of pluginpb over a unix socket; Serve is the other side, for
// plugins in Go. docs/plugin-protocol.md is the protocol, docs/adr/0010-one-process-per-task.md why it is cut this way.
//
// A plugin on disk is a folder with a manifest and an executable (Plugin, Load, Discover).
//
// In the worker: Command and process.go (start, watch, end a process), factory.go, source.go, sink.go, session.go (the contract, made of
// calls). In the plugin: serve.go, server.go (calls to a task), feed.go and drain.go (its batches), caller.go (what it says to the worker).
package plugins

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/freshet-io/freshet/plugins/pluginpb"
)

const (
	cookieKey   = "FRESHET_PLUGIN"
	cookieValue = "6c5f0b9a-connector"
	service     = "connector"
)

// handshake tells a plugin that it was started by a worker. It is no secret.
var handshake = plugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue, ProtocolVersion: Protocol}

const (
	messageLimit = math.MaxInt32 // of batches: a row may be as large as databases have them
	callLimit    = 256 << 20     // of what a task says to the worker: a record that is tolerated may be as large as Kafka has them
	replyLimit   = 64 << 20      // of anything else that a plugin sends
	streamWindow = 16 << 20      // HTTP/2 flow control must not slow what byte credit bounds
	socketBuffer = 256 << 10
)

// endpoint registers the calls with go-plugin: of a plugin's server, and for a worker its connection.
type endpoint struct {
	plugin.NetRPCUnsupportedPlugin
	server pluginpb.ConnectorServer
}

// GRPCServer implements plugin.GRPCPlugin.
func (e *endpoint) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	if e.server == nil {
		return errors.New("serve a plugin: there are no connectors")
	}
	pluginpb.RegisterConnectorServer(s, e.server)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (*endpoint) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return pluginpb.NewConnectorClient(c), nil
}

func dialOptions(memory *buffers) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(2 * streamWindow),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec(memory))),
		grpc.WithReadBufferSize(socketBuffer), grpc.WithWriteBufferSize(socketBuffer),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(replyLimit)), grpc.WithChainStreamInterceptor(withoutBroker),
	}
}

// withoutBroker keeps go-plugin from listening to offers of further connections, of which a plugin can make any number.
func withoutBroker(ctx context.Context, d *grpc.StreamDesc, c *grpc.ClientConn, method string, next grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	if method == "/plugin.GRPCBroker/StartStream" {
		return nil, status.Error(codes.Unimplemented, "there are no further connections")
	}
	return next(ctx, d, c, method, options...)
}

func serverOptions(memory *buffers, more []grpc.ServerOption) []grpc.ServerOption {
	return append(more,
		grpc.ForceServerCodecV2(newCodec(memory)), grpc.MaxRecvMsgSize(messageLimit), grpc.MaxSendMsgSize(messageLimit),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(2*streamWindow),
		grpc.ReadBufferSize(socketBuffer), grpc.WriteBufferSize(socketBuffer),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
}
