package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// target is a server that the worker copies to, seen with a client of the demo's own.
type target interface {
	// state is how many rows there are in all tables, and when the newest row of the ledger was written; zero while there is none.
	state(ctx context.Context, tables []table) (rows int64, newest time.Time, err error)
	// rows reads a table by key.
	rows(ctx context.Context, t *table, r *report) (map[string]stored, error)
	// example is a command line with a query that is worth seeing.
	example() example
}

// example is a command to copy, and how the demo gets the same answer.
type example struct {
	what    string
	command string
	answer  func(ctx context.Context) (string, error)
}

// fetch sends a request and returns the body of the answer.
func fetch(ctx context.Context, method, address, contentType, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // only read
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.300s", response.Status, bytes.TrimSpace(answer))
	}
	return answer, err
}

// postgresTarget is the TimescaleDB.
type postgresTarget struct {
	*database
	container string
}

func (p postgresTarget) state(ctx context.Context, tables []table) (rows int64, newest time.Time, err error) {
	conn, err := pgx.Connect(ctx, p.dsn)
	if err != nil {
		return 0, newest, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // only reads
	var counts []string
	for _, t := range tables {
		counts = append(counts, "(SELECT count(*) FROM "+t.name+")")
	}
	var last *time.Time
	err = conn.QueryRow(ctx, "SELECT "+strings.Join(counts, " + ")+", (SELECT max(created_at) FROM "+tables[ledger].name+")").Scan(&rows, &last)
	if last != nil {
		newest = *last
	}
	return rows, newest, err
}

func (p postgresTarget) example() example {
	const sql = `SELECT time_bucket('5 seconds', created_at) AS since, count(*) AS entries, -sum(amount) FILTER (WHERE kind = 'stake') AS staked,
  sum(amount) FILTER (WHERE kind = 'payout') AS paid FROM transactions GROUP BY 1 ORDER BY 1 DESC LIMIT 5`
	args := []string{"exec", p.container, "psql", "-U", databaseUser, databaseName, "-c", sql}
	return example{
		what:    "money in and out, in steps of five seconds, from a hypertable",
		command: fmt.Sprintf("docker exec %s psql -U %s %s -c %s", p.container, databaseUser, databaseName, quoted(sql)),
		answer:  func(ctx context.Context) (string, error) { return docker(ctx, args...) },
	}
}

// quoted is a text as one word of a shell's command line.
func quoted(s string) string {
	if !strings.ContainsAny(s, "\"$`\\!") {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// clickhouseTarget is a ClickHouse, by its HTTP interface.
type clickhouseTarget struct{ *container }

func (c clickhouseTarget) query(ctx context.Context, sql string) ([]byte, error) {
	to := url.URL{
		Scheme: "http", User: url.UserPassword(databaseUser, databasePassword), Host: c.address(), Path: "/",
		RawQuery: url.Values{"database": {databaseName}}.Encode(),
	}
	return fetch(ctx, http.MethodPost, to.String(), "text/plain", sql)
}

func (c clickhouseTarget) state(ctx context.Context, tables []table) (rows int64, newest time.Time, err error) {
	var counts []string
	for _, t := range tables {
		counts = append(counts, "(SELECT count() FROM "+t.name+"_current)")
	}
	answer, err := c.query(ctx, "SELECT "+strings.Join(counts, " + ")+", (SELECT toUnixTimestamp64Micro(max(created_at)) FROM "+tables[ledger].name+"_current) FORMAT TSV")
	if err != nil {
		return 0, newest, err
	}
	var micros int64
	if _, err := fmt.Sscan(string(answer), &rows, &micros); err != nil {
		return 0, newest, fmt.Errorf("read %q: %w", answer, err)
	}
	if micros > 0 {
		newest = time.UnixMicro(micros)
	}
	return rows, newest, nil
}

func (c clickhouseTarget) rows(ctx context.Context, t *table, r *report) (map[string]stored, error) {
	var columns []string
	for _, col := range t.columns {
		v := col.name
		switch col.kind {
		case boolean:
			v = "toUInt8(" + v + ")"
		case money:
			v = "toDecimalString(" + v + ", 2)"
		case day:
			v = "toInt32(" + v + ")"
		case moment:
			v = "toUnixTimestamp64Micro(" + v + ")"
		}
		columns = append(columns, "toString("+v+")")
	}
	answer, err := c.query(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+t.name+"_current FORMAT JSONCompactEachRow")
	if err != nil {
		return nil, fmt.Errorf("read table %s of ClickHouse: %w", t.name, err)
	}
	out := map[string]stored{}
	for lines := json.NewDecoder(bytes.NewReader(answer)); lines.More(); {
		var s stored
		if err := lines.Decode(&s.row); err != nil {
			return nil, fmt.Errorf("read table %s of ClickHouse: %w", t.name, err)
		}
		if err := r.enter(out, t, c.title, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c clickhouseTarget) example() example {
	const sql = `SELECT splitByChar('/', race)[1] AS track, count() AS bets, countIf(status = 'won') AS won, sum(stake) AS staked, round(avg(odds), 2) AS odds
  FROM bets_current GROUP BY track ORDER BY staked DESC FORMAT PrettyCompactMonoBlock`
	return example{
		what: "the tracks by what is staked there",
		command: fmt.Sprintf("curl -s -u %s:%s 'http://%s/?database=%s' --data-binary %s", databaseUser, databasePassword, c.address(), databaseName,
			quoted(sql)),
		answer: func(ctx context.Context) (string, error) {
			text, err := c.query(ctx, sql)
			return string(text), err
		},
	}
}

// searchTarget is an Elasticsearch without accounts.
type searchTarget struct{ *container }

const jsonType = "application/json"

func (s searchTarget) url(path string) string { return "http://" + s.address() + path }

// documents is what a search answers.
type documents struct {
	Hits struct {
		Total struct{ Value int64 }
		Hits  []struct {
			Source map[string]any    `json:"_source"`
			Sort   []json.RawMessage `json:"sort"`
		}
	}
	Aggregations struct {
		Newest struct{ Value *float64 } // ms since 1970
	}
}

func (s searchTarget) search(ctx context.Context, indices, body string) (*documents, error) {
	answer, err := fetch(ctx, http.MethodPost, s.url("/"+indices+"/_search"), jsonType, body)
	if err != nil {
		return nil, err
	}
	var out documents
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("read the answer of a search: %w", err)
	}
	return &out, nil
}

func (s searchTarget) state(ctx context.Context, tables []table) (rows int64, newest time.Time, err error) {
	var indices []string
	for _, t := range tables {
		indices = append(indices, t.name)
	}
	found, err := s.search(ctx, strings.Join(indices, ","), `{"size": 0, "track_total_hits": true, "aggs": {"newest": {"max": {"field": "created_at"}}}}`)
	if err != nil {
		return 0, newest, err
	}
	if ms := found.Aggregations.Newest.Value; ms != nil {
		newest = time.UnixMilli(int64(*ms))
	}
	return found.Hits.Total.Value, newest, nil
}

func (s searchTarget) rows(ctx context.Context, t *table, r *report) (map[string]stored, error) {
	if _, err := fetch(ctx, http.MethodPost, s.url("/"+t.name+"/_refresh"), "", ""); err != nil {
		return nil, fmt.Errorf("refresh index %s: %w", t.name, err)
	}
	out := map[string]stored{}
	after := ""
	for {
		page, err := s.search(ctx, t.name, `{"size": 5000, "sort": [{"version": "asc"}]`+after+`}`)
		if err != nil {
			return nil, fmt.Errorf("read index %s: %w", t.name, err)
		}
		hits := page.Hits.Hits
		for _, hit := range hits {
			row := make([]*string, len(t.columns))
			for i := range t.columns {
				if row[i], err = t.columns[i].fromDocument(hit.Source[t.columns[i].name]); err != nil {
					return nil, fmt.Errorf("read index %s: %w", t.name, err)
				}
			}
			if err := r.enter(out, t, s.title, stored{row: row}); err != nil {
				return nil, err
			}
		}
		if len(hits) == 0 {
			return out, nil
		}
		after = `, "search_after": [` + string(hits[len(hits)-1].Sort[0]) + `]`
	}
}

// fromDocument brings a field of a document into canonical form.
func (c *column) fromDocument(v any) (*string, error) {
	switch text, is := v.(string); {
	case v == nil:
		return nil, nil
	case c.kind == document:
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode column %s: %w", c.name, err)
		}
		s := string(b)
		return &s, nil
	case c.kind == day && is:
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return nil, fmt.Errorf("read column %s: %w", c.name, err)
		}
		s := strconv.FormatInt(d.Unix()/86400, 10)
		return &s, nil
	}
	return c.fromEvent(v)
}

func (s searchTarget) example() example {
	address := s.url("/bets/_search?q=" + url.QueryEscape("status:won AND stake:>50") + "&sort=placed_at:desc&size=3" +
		"&_source_includes=horse,race,stake,odds&filter_path=hits.total.value,hits.hits._source&pretty")
	return example{
		what:    "the latest bets of more than 50 that were won",
		command: "curl -s '" + address + "'",
		answer: func(ctx context.Context) (string, error) {
			text, err := fetch(ctx, http.MethodGet, address, "", "")
			return string(text), err
		},
	}
}
