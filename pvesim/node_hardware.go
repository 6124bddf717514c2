package pvesim

// listPCI lists the devices that can be passed through.
func listPCI(c *call) (any, error) {
	out := []any{}
	for i, d := range c.node.Devices {
		if d.Class != "" {
			item := map[string]any{
				"id": d.ID, "class": d.Class, "vendor": d.VendorID, "device": d.DeviceID, "subsystem_vendor": d.VendorID, "subsystem_device": d.DeviceID, "iommugroup": i,
			}
			for key, name := range map[string]string{"vendor_name": d.Vendor, "device_name": d.Name, "subsystem_vendor_name": d.Vendor} {
				if name != "" {
					item[key] = name
				}
			}
			out = append(out, item)
		}
	}
	return out, nil
}

// listUSB lists the devices on USB. No recorded node has one: the fields are those of PVE's
// SysFSTools.pm.
func listUSB(c *call) (any, error) {
	out := []any{}
	for i, d := range c.node.Devices {
		if d.Class == "" {
			out = append(out, map[string]any{
				"usbpath": d.ID, "busnum": 1, "devnum": i + 2, "port": i + 1, "level": 1, "class": 0, "speed": "480",
				"vendid": d.VendorID, "prodid": d.DeviceID, "manufacturer": d.Vendor, "product": d.Name,
			})
		}
	}
	return out, nil
}

// listLeases lists what PVE's own address management has given. It is in no recording: the
// fields are those of PVE's SDN/Ipams.pm.
func listLeases(c *call) (any, error) {
	if c.str("ipam") != "pve" {
		return nil, die("Currently only PVE IPAM is supported!")
	}
	out := []any{}
	for _, l := range c.model.Leases {
		path := "/sdn/zones/" + l.Zone + "/" + l.VNet
		if !c.may(path, "SDN.Audit") && !c.may(path, "SDN.Allocate") {
			continue
		}
		item := map[string]any{"zone": l.Zone, "vnet": l.VNet, "subnet": l.Subnet, "ip": l.IP}
		if l.Gateway {
			item["gateway"] = 1
		} else {
			item["vmid"], item["mac"], item["hostname"] = l.VMID, l.MAC, l.Hostname
		}
		out = append(out, item)
	}
	return out, nil
}
