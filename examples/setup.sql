-- The table of the examples: psql postgres://postgres:postgres@127.0.0.1:5432/postgres -f examples/setup.sql
CREATE TABLE IF NOT EXISTS bets (
    id        bigint PRIMARY KEY,
    horse     text NOT NULL,
    stake     numeric(10, 2) NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO bets (id, horse, stake) VALUES (1, 'Comet', 5.00), (2, 'Moonlight', 12.50) ON CONFLICT DO NOTHING;
