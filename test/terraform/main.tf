# What Terraform makes on a simulated cluster. Stage 2 changes it.

terraform {
  required_providers {
    proxmox = { source = "bpg/proxmox" }
  }
}

variable "stage" {
  type    = number
  default = 1
}

locals { second = var.stage == 2 }

provider "proxmox" {
  insecure = true
}

resource "proxmox_virtual_environment_download_file" "image" {
  node_name    = "pve1"
  datastore_id = "nfs"
  content_type = "import"
  file_name    = "noble.qcow2"
  url          = "https://example.org/noble-server-cloudimg-amd64.qcow2"
  overwrite    = local.second ? false : true
}

resource "proxmox_virtual_environment_download_file" "template" {
  node_name    = "pve1"
  datastore_id = "local"
  content_type = "vztmpl"
  url          = "https://example.org/debian-13-standard_13.1-2_amd64.tar.zst"
}

resource "proxmox_virtual_environment_pool" "web" {
  pool_id = "terraform"
  comment = local.second ? "second" : "first"
}

resource "proxmox_virtual_environment_vm" "made" {
  name            = local.second ? "web-two" : "web"
  description     = local.second ? "two\nlines" : "Managed by Terraform"
  tags            = local.second ? ["prod", "web"] : ["web"]
  node_name       = "pve1"
  pool_id         = proxmox_virtual_environment_pool.web.pool_id
  on_boot         = true
  stop_on_destroy = true
  agent { enabled = false }
  cpu {
    cores = local.second ? 4 : 2
    type  = "x86-64-v2-AES"
  }
  memory {
    dedicated = local.second ? 4096 : 2048
    floating  = 2048
  }
  disk {
    datastore_id = "local-zfs"
    import_from  = proxmox_virtual_environment_download_file.image.id
    interface    = "virtio0"
    iothread     = true
    discard      = "on"
    size         = local.second ? 24 : 20
  }
  dynamic "disk" {
    for_each = local.second ? [1] : []
    content {
      datastore_id = "local-zfs"
      interface    = "scsi1"
      size         = 8
    }
  }
  initialization {
    datastore_id = "local-zfs"
    ip_config {
      ipv4 {
        address = "10.0.0.9/24"
        gateway = "10.0.0.1"
      }
    }
    dns {
      servers = local.second ? ["1.1.1.1", "9.9.9.9"] : ["1.1.1.1"]
    }
    user_account {
      username = "me"
      password = "secret12"
    }
  }
  network_device {
    bridge   = "vmbr0"
    firewall = local.second
  }
  operating_system { type = "l26" }
  serial_device {}
  startup {
    order      = 3
    up_delay   = 60
    down_delay = local.second ? 30 : 60
  }
}

resource "proxmox_virtual_environment_vm" "template" {
  name      = "template"
  node_name = "pve1"
  template  = true
  started   = false
  disk {
    datastore_id = "local-zfs"
    interface    = "scsi0"
    size         = 8
  }
}

resource "proxmox_virtual_environment_vm" "clone" {
  name            = "clone"
  node_name       = "pve1"
  started         = local.second
  stop_on_destroy = true
  clone {
    vm_id = proxmox_virtual_environment_vm.template.vm_id
    full  = true
  }
  memory { dedicated = 1024 }
  network_device { bridge = "vmbr0" }
}

resource "proxmox_virtual_environment_container" "made" {
  description  = local.second ? "two" : "Managed by Terraform"
  node_name    = "pve1"
  unprivileged = true
  tags         = ["terraform"]
  cpu { cores = local.second ? 2 : 1 }
  memory {
    dedicated = local.second ? 1024 : 512
    swap      = 256
  }
  disk {
    datastore_id = "local-zfs"
    size         = 4
  }
  features { nesting = true }
  initialization {
    hostname = local.second ? "proxy-two" : "proxy"
    ip_config {
      ipv4 {
        address = "10.0.0.8/24"
        gateway = "10.0.0.1"
      }
    }
    dns { servers = ["1.1.1.1"] }
    user_account { password = "secret12" }
  }
  mount_point {
    volume = "local-zfs"
    size   = "2G"
    path   = "/mnt/data"
  }
  network_interface { name = "veth0" }
  operating_system {
    template_file_id = proxmox_virtual_environment_download_file.template.id
    type             = "debian"
  }
  startup {
    order      = 1
    up_delay   = 10
    down_delay = 10
  }
}

resource "proxmox_virtual_environment_firewall_options" "made" {
  node_name    = "pve1"
  vm_id        = proxmox_virtual_environment_vm.made.vm_id
  enabled      = true
  input_policy = local.second ? "ACCEPT" : "DROP"
  log_level_in = "info"
}

resource "proxmox_virtual_environment_firewall_alias" "office" {
  name    = "office"
  cidr    = local.second ? "10.1.0.0/16" : "10.0.0.0/8"
  comment = "Terraform"
}

resource "proxmox_virtual_environment_firewall_ipset" "admins" {
  name    = "admins"
  comment = "Terraform"
  cidr {
    name    = "10.0.0.1"
    comment = "one"
  }
  dynamic "cidr" {
    for_each = local.second ? [1] : []
    content {
      name    = "10.0.0.2"
      nomatch = true
    }
  }
}

resource "proxmox_virtual_environment_cluster_firewall_security_group" "web" {
  name    = "web"
  comment = "Terraform"
  rule {
    type   = "in"
    action = "ACCEPT"
    dport  = "80"
    proto  = "tcp"
  }
}

resource "proxmox_virtual_environment_firewall_rules" "made" {
  node_name = "pve1"
  vm_id     = proxmox_virtual_environment_vm.made.vm_id
  rule {
    type    = "in"
    action  = "ACCEPT"
    comment = local.second ? "ssh two" : "ssh"
    source  = "10.0.0.0/8"
    dport   = "22"
    proto   = "tcp"
    log     = "info"
  }
  dynamic "rule" {
    for_each = local.second ? [1] : []
    content {
      type    = "in"
      action  = "DROP"
      dport   = "23"
      proto   = "tcp"
      enabled = false
    }
  }
  rule {
    security_group = proxmox_virtual_environment_cluster_firewall_security_group.web.name
    iface          = "net0"
  }
}

resource "proxmox_virtual_environment_role" "operator" {
  role_id    = "terraform"
  privileges = local.second ? ["VM.Audit", "VM.PowerMgmt"] : ["VM.Audit"]
}

resource "proxmox_virtual_environment_group" "operators" {
  group_id = "terraform"
  comment  = local.second ? "second" : "first"
}

resource "proxmox_virtual_environment_user" "operator" {
  user_id  = "operator@pve"
  comment  = local.second ? "" : "Managed by Terraform"
  email    = local.second ? "b@example.org" : "a@example.org"
  password = local.second ? "password2" : "password1"
  groups   = [proxmox_virtual_environment_group.operators.group_id]
  acl {
    path      = "/vms"
    propagate = true
    role_id   = proxmox_virtual_environment_role.operator.role_id
  }
}

resource "proxmox_virtual_environment_user_token" "deploy" {
  user_id               = proxmox_virtual_environment_user.operator.user_id
  token_name            = "deploy"
  comment               = local.second ? "second" : "first"
  expiration_date       = local.second ? "2034-01-01T22:00:00Z" : "2033-01-01T22:00:00Z"
  privileges_separation = local.second
}

resource "proxmox_virtual_environment_acl" "deploy" {
  token_id  = proxmox_virtual_environment_user_token.deploy.id
  role_id   = proxmox_virtual_environment_role.operator.role_id
  path      = "/"
  propagate = true
}

data "proxmox_virtual_environment_nodes" "all" {}

output "nodes" { value = data.proxmox_virtual_environment_nodes.all.names }
