module clickhouse

go 1.24

require (
	github.com/ebitengine/purego v0.10.1
	github.com/klauspost/compress v1.18.7
)
