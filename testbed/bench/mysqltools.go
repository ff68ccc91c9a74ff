//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/go-mysql-org/go-mysql/client"
	library "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/testbed"
)

// What Freshet is put beside at MySQL: this program with go-mysql as it comes, which reads and does nothing with what it reads.
const (
	toolBinlog = "binlog" // ADDRESS SERVER-ID FILE POSITION
	toolSelect = "select" // ADDRESS
)

// binlogMain reads the binlog with go-mysql's default settings, all rows decoded, up to a row of the marker.
func binlogMain(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("address, server id, file and position are expected")
	}
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return fmt.Errorf("read the address: %w", err)
	}
	var numbers [3]uint64
	for i, text := range []string{port, args[1], args[3]} {
		if numbers[i], err = strconv.ParseUint(text, 10, 32); err != nil {
			return fmt.Errorf("read a number: %w", err)
		}
	}
	s := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: uint32(numbers[1]), Flavor: library.MySQLFlavor, Host: host, Port: uint16(numbers[0]), User: testbed.MySQLUser, Password: testbed.MySQLPassword,
		Logger: slog.New(slog.DiscardHandler),
	})
	defer s.Close()
	stream, err := s.StartSync(library.Position{Name: args[2], Pos: uint32(numbers[2])})
	if err != nil {
		return fmt.Errorf("ask for the binlog: %w", err)
	}
	for {
		e, err := stream.GetEvent(ctx)
		if err != nil {
			return fmt.Errorf("read the binlog: %w", err)
		}
		if rows, ok := e.Event.(*replication.RowsEvent); ok && string(rows.Table.Table) == markerTable {
			return nil
		}
	}
}

// selectMain reads bench.rows row by row.
func selectMain(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("an address is expected")
	}
	conn, err := client.ConnectWithContext(ctx, args[0], testbed.MySQLUser, testbed.MySQLPassword, "bench", 0)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	var result library.Result
	err = conn.ExecuteSelectStreaming("SELECT * FROM bench.rows", &result, func([]library.FieldValue) error { return nil }, nil)
	return errors.Join(err, conn.Close())
}
