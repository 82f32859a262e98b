/**
 * The destinations where a disk can run, and the files that they take: data alone. The wizard, `--for`, the check of
 * finished files and docs/destinations.md read it.
 *
 * @module
 */
import type { SizeRule } from "../../mod.ts";

/** A format with options that a destination takes. */
export interface Recipe {
  /** As in `-O`. */
  readonly format: string;
  /** As in `-o`. */
  readonly options: { readonly [name: string]: string };
  /** Ending of the file's name. */
  readonly extension: string;
  /** The whole name, where the destination requires one. */
  readonly fileName?: string;
  /** Most guest bytes, where the limit is lower than that of the destination. */
  readonly most?: number;
}

/** Rules for a finished file besides format, options and size; each is a function in rules.ts. */
export type RuleName =
  | "vhd-footer"
  | "vhd-blocks"
  | "vmdk-stream"
  | "vhdx-clean"
  | "vdi-blocks"
  | "raw-exact"
  | "disk.raw"
  | "partitions";

/** A destination. All sizes are bytes of the disk as the guest sees it. */
export interface Preset {
  /** As in `--for`. */
  readonly name: string;
  readonly title: string;
  /** Best first. `writableRecipes` selects those that this program can write. */
  readonly recipes: readonly Recipe[];
  readonly size: SizeRule;
  /** Questions of the wizard besides those that depend on the source. */
  readonly asks: readonly ("compress" | "backing" | "adapter")[];
  readonly rules: readonly RuleName[];
  /** The kinds of firmware that its machines have. Default: the user may choose BIOS or UEFI. */
  readonly firmware?: "bios" | "uefi";
  /** Whether its firmware boots only from a GPT. */
  readonly needsGpt?: boolean;
  /**
   * Commands to type next. {file}, {folder}, {name}, {stem} (the name without ending), {format} and {bytes} (of the
   * disk) are filled in.
   */
  readonly next: readonly string[];
  /** Hints for the user. */
  readonly notes: readonly string[];
  /** Files that the destination takes and this program does not write yet. */
  readonly later?: string;
  /** Where the data is from, and when it was looked up. */
  readonly sources: readonly string[];
  readonly date: string;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
const DATE = "2026-11-22";

const RAW: Recipe = { format: "raw", options: {}, extension: "raw" };
const QCOW2: Recipe = { format: "qcow2", options: {}, extension: "qcow2" };
/** The largest disk that a VHD can hold, whatever its destination takes. */
const VHD_MOST = 2040 * GIB;

const VHD: Recipe = { format: "vpc", options: { subformat: "dynamic" }, extension: "vhd", most: VHD_MOST };
const STREAM: Recipe = {
  format: "vmdk",
  options: { subformat: "streamOptimized", adapter_type: "lsilogic" },
  extension: "vmdk",
};
const ONE_FILE: Recipe = { format: "vmdk", options: { subformat: "monolithicSparse" }, extension: "vmdk" };

/** In the order of the wizard and of `presets`. */
export const presets: readonly Preset[] = [
  {
    name: "aws",
    title: "Amazon EC2 (VM Import)",
    recipes: [STREAM, RAW, { format: "vhdx", options: { subformat: "dynamic" }, extension: "vhdx" }],
    size: { most: 16 * TIB - GIB },
    asks: [],
    rules: ["vmdk-stream", "vhdx-clean", "partitions"],
    next: [
      "aws s3 cp {file} s3://BUCKET/{name}",
      "aws ec2 import-snapshot --disk-container Format={format},UserBucket='{S3Bucket=BUCKET,S3Key={name}}'",
    ],
    notes: ["Above 8 TiB a manifest is needed", "Linux that boots by UEFI needs \\EFI\\BOOT\\BOOTX64.EFI"],
    later: "OVA with several disks",
    sources: [
      "https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html",
      "https://github.com/awsdocs/vm-import-export-user-guide (limitations-image.md)",
    ],
    date: DATE,
  },
  {
    name: "azure",
    title: "Microsoft Azure",
    recipes: [{ format: "vpc", options: { subformat: "fixed" }, extension: "vhd", most: VHD_MOST }],
    // Azure takes disks of 32767 GiB, and no other format than VHD.
    size: { multipleOf: MIB, least: 20 * MIB, most: 32767 * GIB },
    asks: [],
    rules: ["vhd-footer", "partitions"],
    next: [
      "az disk create -g GROUP -n {stem} --os-type Linux --upload-type Upload --upload-size-bytes $(stat -c %s {file})",
      'azcopy copy {file} "$(az disk grant-access -g GROUP -n {stem} --access-level Write ' +
      '--duration-in-seconds 86400 --query accessSas -o tsv)" --blob-type PageBlob',
      "az disk revoke-access -g GROUP -n {stem}",
    ],
    notes: [
      "Only VHD files of a fixed size are taken, never VHDX; the disk must be whole MiB",
      "A VHD ends at 2040 GiB, and a disk that a machine boots from at 1023 GiB",
    ],
    sources: [
      "https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic",
      "https://learn.microsoft.com/powershell/module/az.compute/add-azvhd",
    ],
    date: DATE,
  },
  {
    name: "gcp",
    title: "Google Cloud",
    recipes: [{ ...RAW, fileName: "disk.raw" }],
    size: { multipleOf: GIB, least: GIB },
    asks: [],
    rules: ["raw-exact", "disk.raw", "partitions"],
    next: [
      "tar --format=oldgnu -Sczf {stem}.tar.gz -C {folder} {name}",
      "gcloud storage cp {stem}.tar.gz gs://BUCKET/",
      "gcloud compute images create NAME --source-uri=gs://BUCKET/{stem}.tar.gz",
    ],
    notes: ["The file must be called disk.raw and lie alone in the archive; the disk must be whole GiB"],
    later: "the archive itself",
    sources: ["https://cloud.google.com/compute/docs/import/import-existing-image"],
    date: DATE,
  },
  {
    name: "esxi",
    title: "VMware ESXi, vSphere",
    recipes: [STREAM],
    size: { multipleOf: 512, most: 62 * TIB },
    asks: ["adapter"],
    rules: ["vmdk-stream", "partitions"],
    next: ["govc import.vmdk -ds DATASTORE {file} {stem}"],
    notes: ["The file is for importing; the host makes its own disk from it"],
    later: "OVA (OVF, manifest and disk in one file), and disks that a datastore uses as they are (vmfs)",
    sources: [
      "https://cot.readthedocs.io (COT.disks.vmdk)",
      "https://github.com/glennmatthews/cot/issues/65",
      "https://github.com/home-assistant/operating-system/issues/497",
    ],
    date: DATE,
  },
  {
    name: "workstation",
    title: "VMware Workstation, Fusion, Player",
    recipes: [ONE_FILE, {
      format: "vmdk",
      options: { subformat: "twoGbMaxExtentSparse" },
      extension: "vmdk",
      most: 8 * TIB,
    }],
    size: { multipleOf: 512 },
    asks: ["adapter"],
    rules: ["partitions"],
    next: [],
    notes: ['Choose "Use an existing virtual disk" in the wizard for a new machine', "ESXi does not take such files"],
    sources: ["https://www.starwindsoftware.com/v2v-help/VirtualDiskFiles.html"],
    date: DATE,
  },
  {
    name: "virtualbox",
    title: "Oracle VirtualBox",
    recipes: [{ format: "vdi", options: {}, extension: "vdi" }, ONE_FILE],
    size: { multipleOf: MIB },
    asks: [],
    rules: ["vdi-blocks", "partitions"],
    next: ["VBoxManage storageattach VM --storagectl SATA --port 0 --type hdd --medium {file}"],
    notes: ["VirtualBox can change the size of a VDI later, not that of a VMDK"],
    sources: ["https://docs.oracle.com/en/virtualization/virtualbox/ (clonemedium)"],
    date: DATE,
  },
  {
    name: "hyperv-gen1",
    title: "Microsoft Hyper-V, generation 1 (BIOS)",
    firmware: "bios",
    recipes: [
      { format: "vhdx", options: { subformat: "dynamic", block_size: "1M", sparse: "off" }, extension: "vhdx" },
      { ...VHD, options: { subformat: "dynamic", sparse: "off" }, most: 2040 * GIB },
    ],
    size: { multipleOf: MIB, most: 64 * TIB },
    asks: [],
    rules: ["vhdx-clean", "vhd-blocks", "partitions"],
    next: ["New-VM -Name VM -Generation 1 -MemoryStartupBytes 2GB -VHDPath {file}"],
    notes: ["It boots by BIOS, from the first IDE disk", "Windows refuses files with holes or compressed by NTFS"],
    sources: [
      "https://learn.microsoft.com/windows-server/virtualization/hyper-v/best-practices-for-running-linux-on-hyper-v",
      "https://github.com/0xbadfca11/makevhdx",
    ],
    date: DATE,
  },
  {
    name: "hyperv-gen2",
    title: "Microsoft Hyper-V, generation 2 (UEFI)",
    firmware: "uefi",
    needsGpt: true,
    recipes: [
      { format: "vhdx", options: { subformat: "dynamic", block_size: "1M", sparse: "off" }, extension: "vhdx" },
    ],
    size: { multipleOf: MIB, most: 64 * TIB },
    asks: [],
    rules: ["vhdx-clean", "partitions"],
    next: [
      "New-VM -Name VM -Generation 2 -MemoryStartupBytes 2GB -VHDPath {file}",
      "Set-VMFirmware -VMName VM -SecureBootTemplate MicrosoftUEFICertificateAuthority",
    ],
    notes: ["It boots by UEFI: the disk needs a GPT", "Blocks of 1 MiB keep files of Linux guests small"],
    sources: [
      "https://learn.microsoft.com/windows-server/virtualization/hyper-v/best-practices-for-running-linux-on-hyper-v",
      "https://github.com/maharmstone/btrfs/issues/135",
    ],
    date: DATE,
  },
  {
    name: "proxmox",
    title: "Proxmox VE",
    recipes: [QCOW2, RAW],
    size: { multipleOf: 512 },
    asks: ["compress"],
    rules: ["partitions"],
    next: ["qm disk import VMID {file} STORAGE"],
    notes: ["qcow2 for folders; on LVM, ZFS and Ceph it becomes raw"],
    sources: ["https://pve.proxmox.com/pve-docs/qm.1.html"],
    date: DATE,
  },
  {
    name: "libvirt",
    title: "libvirt, KVM, QEMU",
    recipes: [QCOW2, RAW],
    size: { multipleOf: 512 },
    asks: ["compress", "backing"],
    rules: ["partitions"],
    next: ["virt-install --name {stem} --memory 2048 --import --disk path={file},format={format} --osinfo detect=on"],
    notes: ["Hosts older than 2012 need -o compat=0.10"],
    sources: ["https://github.com/flatcar/scripts (build_library/vm_image_util.sh)"],
    date: DATE,
  },
  {
    name: "openstack",
    title: "OpenStack (Glance)",
    recipes: [QCOW2, RAW],
    size: { multipleOf: 512 },
    asks: ["compress"],
    rules: ["partitions"],
    next: ["openstack image create --disk-format {format} --container-format bare --file {file} {stem}"],
    notes: ["Files that name other files are refused", "raw where images live in Ceph"],
    sources: ["https://docs.openstack.org/glance/latest/user/formats.html"],
    date: DATE,
  },
  {
    name: "kubevirt",
    title: "KubeVirt (CDI upload)",
    recipes: [QCOW2, RAW],
    size: { multipleOf: 512 },
    asks: ["compress"],
    rules: ["partitions"],
    next: ["virtctl image-upload dv {stem} --size={bytes} --image-path={file}"],
    notes: ["Files that name other files are refused", "The volume needs the disk's size and room for its file system"],
    later: "the layers of a containerDisk",
    sources: ["https://github.com/kubevirt/containerized-data-importer (pkg/image/qemu.go)"],
    date: DATE,
  },
  {
    name: "xcp-ng",
    title: "XCP-ng, XenServer",
    recipes: [
      { ...VHD, options: { ...VHD.options, creator: "tap" }, most: 2040 * GIB },
      { ...QCOW2, most: 16381 * GIB },
    ],
    size: { multipleOf: 2 * MIB },
    asks: [],
    rules: ["vhd-blocks", "partitions"],
    next: ["xe vdi-import uuid=VDI filename={file} format=vhd"],
    notes: [
      "VHD files of a fixed size are not taken",
      "Above 2040 GiB qcow2 is needed, which hosts take since May 2026",
      "The VHD states tap as its creator and has a batmap, as those of the hosts: they resize no other",
    ],
    sources: [
      "https://docs.xcp-ng.org/installation/migrate-to-xcp-ng/",
      "https://docs.xcp-ng.org/storage/qcow2_faq/",
    ],
    date: DATE,
  },
  {
    name: "nutanix",
    title: "Nutanix AHV",
    recipes: [QCOW2, RAW],
    size: { multipleOf: 512 },
    asks: ["compress"],
    rules: ["partitions"],
    next: ["acli image.create {stem} image_type=kDiskImage source_url=URL container=CONTAINER"],
    notes: ["The image service makes its own disk from it"],
    sources: ["https://next.nutanix.com (topic 5772)"],
    date: DATE,
  },
  {
    name: "oracle",
    title: "Oracle Cloud Infrastructure",
    recipes: [QCOW2, STREAM],
    size: { multipleOf: 512, most: 400 * GIB },
    asks: ["compress"],
    rules: ["vmdk-stream", "partitions"],
    next: [
      "oci os object put -bn BUCKET --file {file}",
      "oci compute image import from-object -bn BUCKET --name {name} --namespace NAMESPACE -c COMPARTMENT",
    ],
    notes: ["One disk to boot from, not encrypted, not a snapshot"],
    sources: ["https://docs.oracle.com/iaas/Content/Compute/Tasks/importingcustomimagelinux.htm"],
    date: DATE,
  },
  {
    name: "ibm",
    title: "IBM Cloud VPC",
    recipes: [QCOW2, VHD],
    size: { multipleOf: 512, most: 250 * GIB },
    asks: ["compress"],
    rules: ["vhd-blocks", "partitions"],
    next: ["ibmcloud is image-create {stem} --file cos://REGION/BUCKET/{name} --os-name OS"],
    notes: ["A disk below 10 GiB becomes 10 GiB there", "The system must have cloud-init"],
    sources: ["https://github.com/ibm-cloud-docs/vpc (custom-image-conrefs)"],
    date: DATE,
  },
  {
    name: "alibaba",
    title: "Alibaba Cloud ECS",
    recipes: [QCOW2, VHD, RAW],
    size: { multipleOf: 512 },
    asks: ["compress"],
    rules: ["vhd-blocks", "partitions"],
    next: ["aliyun oss cp {file} oss://BUCKET/{name}"],
    notes: ["Then import it in the console: ECS, Images, Import Image", "Its limit of size is not checked here"],
    sources: ["https://www.alibabacloud.com/help/en/ecs/user-guide/import-a-custom-image"],
    date: DATE,
  },
  {
    name: "digitalocean",
    title: "DigitalOcean",
    recipes: [QCOW2, RAW],
    size: { multipleOf: 512, most: 100 * GIB },
    asks: ["compress"],
    rules: ["partitions"],
    next: ["doctl compute image create {stem} --image-url URL --region REGION"],
    notes: ["It is fetched from a URL; gzip and bzip2 are decompressed there, xz is not"],
    sources: ["https://docs.digitalocean.com/products/custom-images/details/limits/"],
    date: DATE,
  },
  {
    name: "utm-raw",
    title: "UTM and Lima with Apple's virtualization, vfkit (raw)",
    firmware: "uefi",
    recipes: [RAW],
    size: { multipleOf: 512 },
    asks: [],
    rules: ["raw-exact", "partitions"],
    next: [],
    notes: ["UTM imports it as a drive; Lima takes it as the image of an instance", "It boots by UEFI"],
    sources: ["https://github.com/lima-vm/lima/issues/2713", "https://github.com/utmapp/UTM/issues/7609"],
    date: DATE,
  },
  {
    name: "utm-qcow2",
    title: "UTM and Lima with QEMU (qcow2)",
    recipes: [QCOW2],
    size: { multipleOf: 512 },
    asks: ["compress"],
    rules: ["partitions"],
    next: [],
    notes: ["UTM imports it as a drive; Lima takes it as the image of an instance"],
    sources: ["https://github.com/lima-vm/lima (images with QEMU)"],
    date: DATE,
  },
  {
    name: "usb",
    title: "USB stick, SD card, bare metal",
    recipes: [RAW],
    size: { multipleOf: 512 },
    asks: [],
    rules: ["raw-exact", "partitions"],
    next: ["sudo dd if={file} of=/dev/sdX bs=4M conv=fsync status=progress"],
    notes: ["/dev/sdX is the whole device, and all that is on it is lost", "Sectors must be as large as on the source"],
    sources: ["UEFI Specification 2.10, chapter 5 (partition tables)"],
    date: DATE,
  },
];
