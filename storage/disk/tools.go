package disk

// Tool is a program of the host that is missing, and what Debian calls the package that has it.
type Tool struct {
	Program string `json:"program"`
	Package string `json:"package"`
}

// missing lists the programs that the wanted volumes need and the host lacks.
func (v *Volumes) missing() (list []Tool) {
	w := v.wanted
	need := func(when bool, pkg string, programs ...string) {
		for _, program := range programs {
			if when && !v.sys.HasProgram(program) {
				list = append(list, Tool{program, pkg})
			}
		}
	}
	has := map[string]bool{}
	for _, f := range w.Formats {
		has[f.Type] = true
	}
	need(true, "util-linux", "lsblk", "blkid", "findmnt")
	need(!w.Empty(), "util-linux", "wipefs", "blkdiscard", "partx")
	need(len(w.Disks) > 0, "fdisk", "sfdisk")
	need(len(w.Arrays) > 0, "mdadm", "mdadm")
	need(len(w.Crypts) > 0, "cryptsetup-bin", "cryptsetup")
	for _, c := range w.Crypts {
		if c.TPM {
			need(true, "systemd-cryptsetup", "systemd-cryptenroll")
			break
		}
	}
	need(len(w.PVs)+len(w.Groups)+len(w.LVs) > 0, "lvm2", "pvs", "vgs", "lvs", "pvcreate", "vgcreate", "lvcreate")
	need(has["ext4"], "e2fsprogs", "mkfs.ext4", "e2fsck", "dumpe2fs", "resize2fs")
	need(has["xfs"], "xfsprogs", "mkfs.xfs", "xfs_growfs")
	need(has["swap"] || len(w.Swaps) > 0, "mount", "swapon")
	need(w.GrowRoot && len(w.Disks) == 0, "fdisk", "sfdisk")
	return list
}
