# What a boot loader and an initial RAM disk are to a machine: runs as PID 1 and becomes systemd.
set -e

# The engine mounts its own files over these three and would mount them anew at every start: a host name set in
# the machine could not be renamed into place and would be lost. Take the contents once, then let the files be files.
for file in hostname hosts resolv.conf; do
	cat "/etc/$file" >/run/engine-file
	umount "/etc/$file"
	[ -s "/etc/$file" ] || cat /run/engine-file >"/etc/$file"
done
rm /run/engine-file

# The kernel has been up since before the machine: without an id of its own all its boots would look like one.
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind -o ro /run/boot_id /proc/sys/kernel/random/boot_id

export SYSTEMD_COLORS=0 # the console is read as a log
mount -o remount,bind,rw /sys/fs/cgroup
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	exec /sbin/init
fi

# cgroup v1: systemd 256 and later refuse it unless told, and would prefer the empty v2 hierarchy beside it.
for controller in /sys/fs/cgroup/*; do
	mount -o remount,bind,rw "$controller"
done
if mountpoint -q /sys/fs/cgroup/unified; then
	umount -l /sys/fs/cgroup/unified
fi
legacy='systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=yes'
export SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 SYSTEMD_PROC_CMDLINE="$legacy"
exec /sbin/init $legacy
