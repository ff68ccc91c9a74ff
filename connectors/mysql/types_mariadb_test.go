package mysql

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// mariadbTypes has what MariaDB stores or prints otherwise than MySQL, and its own types.
const mariadbTypes = `SET SESSION sql_mode = '';
CREATE TABLE t_own (id int PRIMARY KEY, u uuid, i4 inet4, i6 inet6, v vector(3) NOT NULL, j json, vc varchar(100) COMPRESSED, tc text COMPRESSED, bc blob COMPRESSED,
 e enum('a,b','it''s','é'), s set('p','q'), y year, y2 year(2), b1 bit(1), b20 bit(20), g geometry, p point, f float, f73 float(7,3), d double, dec10_2 decimal(10,2) zerofill, ub bigint unsigned,
 bn binary(4), vb varbinary(8), gs int GENERATED ALWAYS AS (id * 2) STORED, gv int GENERATED ALWAYS AS (id * 3) VIRTUAL, inv int NOT NULL DEFAULT 5 INVISIBLE);
CREATE TABLE t_time (id int PRIMARY KEY, d date, dn date NOT NULL, t0 time, t3 time(3), t6 time(6), dt0 datetime, dt3 datetime(3), dt6 datetime(6), ts0 timestamp NULL, ts3 timestamp(3) NULL, ts6 timestamp(6) NULL);
INSERT INTO t_own (id,u,i4,i6,v,j,vc,tc,bc,e,s,y,y2,b1,b20,g,p,f,f73,d,dec10_2,ub,bn,vb) VALUES
 (1,'123e4567-e89b-12d3-a456-426655440000','192.0.2.1','2001:db8::ff00:42:8329',VEC_FromText('[1.5,-2,0.25]'),'{"b": 1, "a": [1.50, 1e100]}',REPEAT('é',100),REPEAT('x',300),REPEAT('ab',200),'a,b','p,q',2024,69,b'1',b'1',ST_GeomFromText('LINESTRING(0 0,1 1)'),ST_GeomFromText('POINT(1.5 -2)'),0.1,12.345,0.1,1.5,18446744073709551615,'ab',x'00ff'),
 (2,'00000000-0000-0000-0000-000000000000','0.0.0.0','::',VEC_FromText('[0,0,0]'),'[]','','','','é','',0,99,b'0',b'10000000000000000000',ST_GeomFromText('POINT(1 2)',4326),NULL,3.4028234e38,-9999.999,1e300,0,0,'',''),
 (3,NULL,NULL,NULL,VEC_FromText('[3,4,5]'),NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
 (4,'fffffff0-ffff-1fff-bfff-ffffffffffff','255.255.255.255','::ffff:192.0.2.1',VEC_FromText('[-1,1e10,1e-10]'),'"s"','short','t','b','it''s','q',2155,70,b'1',b'11111111111111111111',NULL,ST_GeomFromText('POINT(0 0)'),16777216,0,-0.0,99999999.99,1,'abcd','12345678');
INSERT INTO t_time VALUES
 (1,'2024-02-29','2024-02-29','12:34:56','-12:34:56.123','838:59:58.999999','2024-02-29 12:34:56','2024-02-29 12:34:56.123','2024-02-29 12:34:56.123456','2024-02-29 12:34:56','2024-02-29 12:34:56.123','2024-02-29 12:34:56.123456'),
 (2,'0000-00-00','0000-00-00','-838:59:59','-00:00:00.001','-00:00:00.000001','0000-00-00','2018-00-00','0099-01-01','0000-00-00','0000-00-00','0000-00-00'),
 (3,'1582-10-10','2018-00-01','0','0','0','1969-12-31 23:59:59','1969-12-31 23:59:59.999','1000-01-01','1970-01-01 00:00:01','1970-01-01 00:00:01','2038-01-19 03:14:07.999999'),
 (4,NULL,'1970-01-02',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
`

// Rows decoded from MariaDB's binlog have the cells of a snapshot of the same rows, and the values that were stored.
func TestMariaDBTypes(t *testing.T) {
	server := bed.MariaDB(t)
	database := server.NewDatabase(t)
	inserts := binlogOf(t, server, flavorMariaDB, func() { server.Exec(t, database, mariadbTypes) })
	catalog := catalogOf(t, server, flavorMariaDB, database)
	cfg := testConfig(t, flavorMariaDB, map[string]string{"column.exclude.list": `.*\.(bc|vb)`})
	d := decodeBinlog(t, cfg, catalog, inserts)
	for name, rows := range d.rows {
		d.sameRows(t, name, rows, d.selected(t, server, database, name, "1"))
	}
	if len(d.rows) != 2 {
		t.Fatalf("rows of %d tables", len(d.rows))
	}
	b := d.batch.Finish("", connectors.Order{})
	defer b.Release()
	for name, want := range map[string][]map[string]any{
		"t_own": {
			{"u": "123e4567-e89b-12d3-a456-426655440000", "i4": "192.0.2.1", "i6": "2001:db8::ff00:42:8329", "e": "a,b", "s": "p,q", "j": `{"b": 1, "a": [1.50, 1e100]}`, "y2": "2069", "gv": "3", "inv": "5", "bn": "YWIAAA=="},
			{"u": "00000000-0000-0000-0000-000000000000", "i4": "0.0.0.0", "i6": "::", "y": "0", "y2": "1999", "b20": "AAAI", "f": "3.4028235E38", "vc": "", "tc": ""},
		},
		"t_time": {
			{"t3": "-45296123000", "ts3": "2024-02-29T12:34:56.123Z", "d": "19782"},
			{"d": "<nil>", "dn": "0", "t6": "-1", "dt6": "915148800000000", "ts6": "<nil>"},
		},
	} {
		for i, columns := range want {
			got := encodeRecord(t, b, &d.rows[name][i]).Value.Payload.After
			for column, value := range columns {
				if !reflect.DeepEqual(fmt.Sprint(got[column]), value) {
					t.Errorf("%s row %d column %s: %v, not %v", name, i, column, got[column], value)
				}
			}
		}
	}
}
