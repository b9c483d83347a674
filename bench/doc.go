// Package bench measures the appliance beside what would otherwise do its job, in one run on one machine: the Compose CLI
// whose SDK is linked in, and docker-compose 1.29, which the predecessor ran; for environments Python with PyYAML, by the
// predecessor's rules, and Debian's yq.
//
//	go test -count=1 -timeout=30m -v ./bench -full     every number; a table on standard output, build/bench.json
//	go test ./bench                                    a few seconds: does it work, is nothing off by a factor of ten
//
// Contenders take turns, so that noise hits all alike, and who begins changes from round to round. The verdict is on
// medians, and a MISS is a finding: the exit status is not 0 only when something could not be measured.
package bench
