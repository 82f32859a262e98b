/**
 * Names of partition types: the GUIDs of a GPT (UEFI Specification 2.10, 5.3.3, the Discoverable Partitions Specification and
 * the lists of vendors), and the bytes of an MBR.
 *
 * @module
 */

/** The type GUID of the EFI system partition. */
export const EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/** The type GUID of the partition in which GRUB keeps its code on a GPT disk that BIOS boots. */
export const BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649";
/** The type of an EFI system partition in an MBR. */
export const MBR_EFI_SYSTEM = 0xef;
/** The types of an MBR whose partition holds a chain of further tables. */
export const MBR_EXTENDED: readonly number[] = [0x05, 0x0f, 0x85];

const GPT_TYPES: { readonly [guid: string]: string } = {
  [EFI_SYSTEM]: "EFI system",
  [BIOS_BOOT]: "BIOS boot",
  "024dee41-33e7-11d3-9d69-0008c781f39f": "MBR scheme",
  "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
  "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "basic data",
  "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
  "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "Windows LDM metadata",
  "af9b60a0-1431-4f62-bc68-3311714a69ad": "Windows LDM data",
  "e75caf8f-f680-4cee-afa3-b001e56efc2d": "Windows storage spaces",
  "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux file system",
  "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
  "44479540-f297-41b2-9af7-d131d5f0458a": "Linux root (x86)",
  "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root (ARM64)",
  "69dad710-2ce4-4e3c-b16c-21a1d49abed3": "Linux root (ARM)",
  "72ec70a6-cf74-40e6-bd49-4bda08e8f224": "Linux root (RISC-V 64)",
  "8484680c-9521-48c6-9c11-b0720656f69e": "Linux /usr (x86-64)",
  "933ac7e1-2eb4-4f13-b844-0e14e2aef915": "Linux /home",
  "3b8f8425-20e0-4f3b-907f-1a25a76f98e8": "Linux /srv",
  "4d21b016-b534-45c2-a9fb-5c16e091fd2d": "Linux /var",
  "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux extended boot",
  "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
  "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
  "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
  "ca7d7ccb-63ed-4c53-861c-1742536059cc": "LUKS",
  "7ffec5c9-2d00-49b7-8941-3ea10a5586b7": "dm-crypt",
  "9e1a2d38-c612-4316-aa26-8b49521e5a8b": "PowerPC PReP boot",
  "83bd6b9d-7f41-11dc-be0b-001560b84f0f": "FreeBSD boot",
  "516e7cb6-6ecf-11d6-8ff8-00022d09712b": "FreeBSD UFS",
  "516e7cb5-6ecf-11d6-8ff8-00022d09712b": "FreeBSD swap",
  "516e7cba-6ecf-11d6-8ff8-00022d09712b": "FreeBSD ZFS",
  "6a898cc3-1dd2-11b2-99a6-080020736631": "ZFS",
  "48465300-0000-11aa-aa11-00306543ecac": "Apple HFS+",
  "7c3457ef-0000-11aa-aa11-00306543ecac": "Apple File System",
  "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6": "ChromeOS root",
  "fe3a2a5d-4f32-41a7-b725-accc3285a309": "ChromeOS kernel",
  "5d19e0c1-0ab1-4fe5-9aa5-e7b2a5f5ffb9": "VMware reserved",
  "aa31e02a-400f-11db-9590-000c2911d1b8": "VMFS",
};

const MBR_TYPES: { readonly [type: number]: string } = {
  0x01: "FAT12",
  0x04: "FAT16",
  0x05: "extended",
  0x06: "FAT16",
  0x07: "NTFS, exFAT",
  0x0b: "FAT32",
  0x0c: "FAT32 (LBA)",
  0x0e: "FAT16 (LBA)",
  0x0f: "extended (LBA)",
  0x11: "hidden FAT12",
  0x17: "hidden NTFS",
  0x27: "Windows recovery",
  0x41: "PowerPC PReP boot",
  0x42: "Windows dynamic disk",
  0x82: "Linux swap",
  0x83: "Linux",
  0x85: "Linux extended",
  0x8e: "Linux LVM",
  0xa5: "FreeBSD",
  0xa6: "OpenBSD",
  0xa8: "Apple UFS",
  0xa9: "NetBSD",
  0xaf: "Apple HFS",
  0xbf: "Solaris",
  0xee: "GPT",
  0xef: "EFI system",
  0xfb: "VMFS",
  0xfd: "Linux RAID",
};

/** Returns the name of a type GUID; the GUID itself where it is not known. */
export function gptTypeName(guid: string): string {
  return GPT_TYPES[guid] ?? guid;
}

/** Returns the ID of a type byte: `0x83`. */
export function mbrTypeId(type: number): string {
  return `0x${type.toString(16).padStart(2, "0")}`;
}

/** Returns the name of a type byte; the byte in hexadecimal where it is not known. */
export function mbrTypeName(type: number): string {
  return MBR_TYPES[type] ?? mbrTypeId(type);
}
